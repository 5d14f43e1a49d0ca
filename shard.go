package relay

import (
	"encoding/binary"
	"math/bits"
)

// Shards is the number of shards, the 'house numbers' by which work is divided.
const Shards = 64

// ShardOf returns the shard that the table derives for a message: of its key, else of
// its id. It must agree with the generated column relay.outbox.shard, whose SQL is
// coalesce(hashtext(key), uuid_hash(id)) & 63; a test compares the two.
func ShardOf(id ID, key string) int16 {
	if key != "" {
		return int16(hashBytes([]byte(key)) & (Shards - 1))
	}
	return int16(hashBytes(id[:]) & (Shards - 1))
}

// hashBytes is PostgreSQL's hash_bytes on a little-endian machine: Bob Jenkins' lookup3
// (2006) with PostgreSQL's initial value.
func hashBytes(k []byte) uint32 {
	init := 0x9e3779b9 + uint32(len(k)) + 3923095
	a, b, c := init, init, init
	for len(k) >= 12 {
		a += binary.LittleEndian.Uint32(k[0:])
		b += binary.LittleEndian.Uint32(k[4:])
		c += binary.LittleEndian.Uint32(k[8:])
		a, b, c = mix(a, b, c)
		k = k[12:]
	}
	// The lowest byte of c is reserved for the length, hence the tail's shift by one.
	var tail [12]byte
	copy(tail[:8], k)
	if len(k) > 8 {
		copy(tail[9:], k[8:])
	}
	a += binary.LittleEndian.Uint32(tail[0:])
	b += binary.LittleEndian.Uint32(tail[4:])
	c += binary.LittleEndian.Uint32(tail[8:])
	return final(a, b, c)
}

func mix(a, b, c uint32) (uint32, uint32, uint32) {
	a -= c
	a ^= bits.RotateLeft32(c, 4)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 6)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 8)
	b += a
	a -= c
	a ^= bits.RotateLeft32(c, 16)
	c += b
	b -= a
	b ^= bits.RotateLeft32(a, 19)
	a += c
	c -= b
	c ^= bits.RotateLeft32(b, 4)
	b += a
	return a, b, c
}

func final(a, b, c uint32) uint32 {
	c ^= b
	c -= bits.RotateLeft32(b, 14)
	a ^= c
	a -= bits.RotateLeft32(c, 11)
	b ^= a
	b -= bits.RotateLeft32(a, 25)
	c ^= b
	c -= bits.RotateLeft32(b, 16)
	a ^= c
	a -= bits.RotateLeft32(c, 4)
	b ^= a
	b -= bits.RotateLeft32(a, 14)
	c ^= b
	c -= bits.RotateLeft32(b, 24)
	return c
}
