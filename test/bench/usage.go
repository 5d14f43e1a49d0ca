package main

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of times in /proc on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// usage is the CPU time that each group of processes has used so far.
type usage struct {
	relays, walsender, broker, bench time.Duration
	// Of PostgreSQL: the relay's backends, the producers', and the server's own processes.
	backends, producers, server time.Duration
	// queued is how long all of them were ready to run and waited for a core.
	queued time.Duration
}

// usage reads the CPU time of this program and all that it has started. Backends that have
// ended are not counted.
func (l *lab) usage() usage {
	var u usage
	self := os.Getpid()
	parents := parentsOfAll()
	for pid := range parents {
		if !descends(pid, self, parents) {
			continue
		}
		cpu := cpuTime(pid)
		u.queued += queueTime(pid)
		switch name := commandLine(pid); {
		case pid == self:
			u.bench += cpu
		case strings.HasPrefix(name, l.binary):
			u.relays += cpu
		case strings.HasPrefix(name, "postgres: walsender"):
			u.walsender += cpu
		case strings.HasPrefix(name, "postgres: "+relayRole+" "):
			u.backends += cpu
		case strings.HasPrefix(name, "postgres: "+appRole+" "):
			u.producers += cpu
		case strings.Contains(name, "postgres"):
			u.server += cpu
		default:
			u.broker += cpu
		}
	}
	return u
}

// since returns what was used between before and u.
func (u usage) since(before usage) usage {
	return usage{
		relays: u.relays - before.relays, backends: u.backends - before.backends,
		queued: u.queued - before.queued, producers: u.producers - before.producers, server: u.server - before.server,
		walsender: u.walsender - before.walsender, broker: u.broker - before.broker, bench: u.bench - before.bench,
	}
}

// plus returns the sum of two.
func (u usage) plus(v usage) usage {
	return usage{
		relays: u.relays + v.relays, backends: u.backends + v.backends,
		queued: u.queued + v.queued, producers: u.producers + v.producers, server: u.server + v.server,
		walsender: u.walsender + v.walsender, broker: u.broker + v.broker, bench: u.bench + v.bench,
	}
}

// perMessage says in words what n messages cost each.
func (u usage) perMessage(n int) string {
	us := func(d time.Duration) int { return int(d.Microseconds()) / n }
	return fmt.Sprintf("CPU a message: relay %d µs, its PostgreSQL backends %d µs, walsender %d µs, RabbitMQ %d µs; producers' backends %d µs, WAL writer and others of the server %d µs, producers and receiver %d µs; all of them waited %d µs for a core",
		us(u.relays), us(u.backends), us(u.walsender), us(u.broker), us(u.producers), us(u.server), us(u.bench), us(u.queued))
}

// parentsOfAll maps every process to its parent.
func parentsOfAll() map[int]int {
	out := make(map[int]int)
	paths, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		if fields := statFields(pid); len(fields) > 1 {
			out[pid], _ = strconv.Atoi(fields[1])
		}
	}
	return out
}

func descends(pid, from int, parents map[int]int) bool {
	for pid > 1 {
		if pid == from {
			return true
		}
		pid = parents[pid]
	}
	return false
}

// statFields returns the fields of /proc/<pid>/stat from the third, the state, on.
func statFields(pid int) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil
	}
	return strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
}

// cpuTime is a process's time in user and kernel mode; zero if it is gone.
func cpuTime(pid int) time.Duration {
	fields := statFields(pid)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick
}

// queueTime is how long a process's threads waited for a core (schedstat's second field).
func queueTime(pid int) (total time.Duration) {
	paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, path := range paths {
		b, _ := os.ReadFile(path)
		if fields := strings.Fields(string(b)); len(fields) > 1 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			total += time.Duration(ns)
		}
	}
	return total
}

func commandLine(pid int) string {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return string(bytes.ReplaceAll(b, []byte{0}, []byte{' '}))
}

// cpu is the relay's own CPU time.
func (p *process) cpu() time.Duration { return cpuTime(p.cmd.Process.Pid) }

// resident and mostResident are the relay's memory in kB, now and at its highest.
func (p *process) resident() int     { return p.status("VmRSS:") }
func (p *process) mostResident() int { return p.status("VmHWM:") }

func (p *process) status(field string) (kb int) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, found := strings.CutPrefix(lines.Text(), field); found {
			_, _ = fmt.Sscan(rest, &kb)
		}
	}
	return kb
}
