package webhook

import (
	"bytes"
	"net/http"
	"strconv"
)

// statusOf returns the code of a status line (RFC 9112, section 4) without its line feed. Zero
// means that it is none.
func statusOf(line []byte) int {
	version, rest, found := bytes.Cut(line, []byte(" "))
	if !found || !bytes.HasPrefix(version, []byte("HTTP/1.")) || len(version) != len("HTTP/1.1") {
		return 0
	}
	code, _, _ := bytes.Cut(bytes.TrimRight(rest, "\r"), []byte(" "))
	if len(code) != 3 {
		return 0
	}
	n, err := strconv.ParseUint(string(code), 10, 16)
	if err != nil || n < 100 {
		return 0
	}
	return int(n)
}

// statusAlone is an answer whose status could be read and nothing else. Its connection is of no
// further use.
func statusAlone(code int, req *http.Request) *http.Response {
	return &http.Response{
		Status: http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header), Body: http.NoBody, Close: true, Request: req,
	}
}
