// Command logfollow prints lines appended to a file, surviving rotation.
//
//	logfollow -grep 'status=5\d\d' -context 2 /var/log/app/access.log
//
// Rotation is noticed in both usual forms: the name points to a new file
// (rename and create), or the file became shorter (copy and truncate).
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

const pollInterval = 250 * time.Millisecond

// follower turns a growing file into a sequence of complete lines.
type follower struct {
	path    string
	file    *os.File
	reader  *bufio.Reader
	offset  int64
	partial strings.Builder
}

func (f *follower) open(atEnd bool) error {
	file, err := os.Open(f.path)
	if err != nil {
		return err
	}
	f.offset = 0
	if atEnd {
		f.offset, err = file.Seek(0, io.SeekEnd)
	}
	if f.file != nil {
		f.file.Close()
	}
	f.file, f.reader = file, bufio.NewReader(file)
	f.partial.Reset()
	return err
}

// drain emits whatever complete lines are available now.
func (f *follower) drain(emit func(string)) error {
	for {
		chunk, err := f.reader.ReadString('\n')
		f.offset += int64(len(chunk))
		f.partial.WriteString(chunk)
		if err == io.EOF {
			return nil // the unfinished line waits in f.partial
		}
		if err != nil {
			return err
		}
		emit(strings.TrimRight(f.partial.String(), "\r\n"))
		f.partial.Reset()
	}
}

// reopenIfRotated must run after drain, so that the old file's last lines
// are not lost.
func (f *follower) reopenIfRotated() error {
	named, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // between rename and create; look again later
	}
	if err != nil {
		return err
	}
	open, err := f.file.Stat()
	if err != nil {
		return err
	}
	if os.SameFile(named, open) && named.Size() >= f.offset {
		return nil
	}
	return f.open(false)
}

func (f *follower) run(ctx context.Context, emit func(string)) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		if err := f.drain(emit); err != nil {
			return err
		}
		if err := f.reopenIfRotated(); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// filter prints matches with up to n lines of context before them.
func filter(w io.Writer, pattern *regexp.Regexp, n int) func(string) {
	var before []string
	return func(line string) {
		if !pattern.MatchString(line) {
			if before = append(before, line); len(before) > n {
				before = before[1:]
			}
			return
		}
		for _, b := range before {
			fmt.Fprintln(w, " ", b)
		}
		before = before[:0]
		fmt.Fprintln(w, ">", line)
	}
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("logfollow: ")
	pattern := flag.String("grep", "", "regular expression to look for")
	before := flag.Int("context", 0, "lines to show before a match")
	fromStart := flag.Bool("all", false, "begin at the start of the file")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("exactly one file is needed")
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		log.Fatal(err)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f := &follower{path: flag.Arg(0)}
	if err := f.open(!*fromStart); err != nil {
		log.Fatal(err)
	}
	if err := f.run(ctx, filter(os.Stdout, re, *before)); err != nil {
		log.Fatal(err)
	}
}
