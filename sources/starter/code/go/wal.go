// Package wal implements an append-only write-ahead log.
//
// A log file is a sequence of records:
//
//	length  uint32  little endian, payload bytes only
//	crc     uint32  Castagnoli, over length and payload
//	payload [length]byte
//
// A crash may leave a torn record at the end. Open finds the last intact
// record, truncates what follows it and continues from there; a damaged
// record with intact ones after it is reported, never dropped in silence.
package wal

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"sync"
)

const (
	headerSize = 8
	MaxRecord  = 16 << 20 // keeps a corrupt length from exhausting memory
)

var (
	ErrTooLarge = errors.New("wal: record too large")
	errTorn     = errors.New("torn record")
	table       = crc32.MakeTable(crc32.Castagnoli)
)

type CorruptError struct {
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("wal: corrupt record at offset %d: %s", e.Offset, e.Reason)
}

// Log is safe for concurrent use by several appenders.
type Log struct {
	mu sync.Mutex
	f  *os.File
	w  *bufio.Writer
}

// Open replays every intact record of the named log through apply and
// returns the log ready for appending. The slice passed to apply is reused.
func Open(name string, apply func(payload []byte) error) (*Log, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	good, err := replay(f, apply)
	if err == nil {
		err = f.Truncate(good)
	}
	if err == nil {
		_, err = f.Seek(good, io.SeekStart)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Log{f: f, w: bufio.NewWriter(f)}, nil
}

func replay(f *os.File, apply func([]byte) error) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	r := bufio.NewReader(f)
	var offset int64
	var buf []byte
	for {
		buf, err = readRecord(r, buf)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return offset, nil
		case err != nil:
			// A bad checksum on the very last record is a torn write too.
			if offset+headerSize+int64(len(buf)) >= info.Size() {
				return offset, nil
			}
			return offset, &CorruptError{Offset: offset, Reason: err.Error()}
		}
		if err := apply(buf); err != nil {
			return offset, fmt.Errorf("wal: replay at offset %d: %w", offset, err)
		}
		offset += headerSize + int64(len(buf))
	}
}

func readRecord(r io.Reader, buf []byte) ([]byte, error) {
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err == io.ErrUnexpectedEOF {
		return nil, errTorn
	} else if err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:4])
	if n > MaxRecord {
		return nil, fmt.Errorf("length %d exceeds the limit", n)
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, errTorn
	}
	sum := crc32.Update(crc32.Checksum(head[:4], table), table, buf)
	if sum != binary.LittleEndian.Uint32(head[4:]) {
		return buf, errors.New("checksum mismatch")
	}
	return buf, nil
}

// Append adds one record and returns once it is on stable storage.
func (l *Log) Append(payload []byte) error {
	if len(payload) > MaxRecord {
		return ErrTooLarge
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var head [headerSize]byte
	binary.LittleEndian.PutUint32(head[:4], uint32(len(payload)))
	sum := crc32.Update(crc32.Checksum(head[:4], table), table, payload)
	binary.LittleEndian.PutUint32(head[4:], sum)

	l.w.Write(head[:]) // a bufio error sticks and surfaces in Flush
	l.w.Write(payload)
	if err := l.w.Flush(); err != nil {
		return err
	}
	return l.f.Sync()
}

// Close releases the file; the log must not be used afterwards.
func (l *Log) Close() error { return l.f.Close() }
