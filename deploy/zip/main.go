// Command zip packs a folder for Windows. The same files and the same time give the same bytes, in whatever order and
// with whatever times and rights the file system holds them.
//
//	zip -o FILE -time SECONDS FOLDER
package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"time"
)

func main() {
	out := flag.String("o", "", "the archive to write")
	seconds := flag.Int64("time", 0, "the time of all files, in seconds since 1970")
	flag.Parse()
	err := errors.New("usage: zip -o FILE -time SECONDS FOLDER")
	if *out != "" && flag.NArg() == 1 {
		err = write(*out, flag.Arg(0), time.Unix(*seconds, 0).UTC())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// write packs the folder into a file. An error leaves no file.
func write(file, folder string, at time.Time) error {
	packed, err := pack(os.DirFS(folder), filepath.Base(folder), at)
	if err != nil {
		return fmt.Errorf("pack %s: %w", folder, err)
	}
	return os.WriteFile(file, packed, 0o644)
}

// pack returns an archive of all files, below a folder of that name. Files come in the order of their names.
func pack(files fs.FS, name string, at time.Time) ([]byte, error) {
	var b bytes.Buffer
	archive := zip.NewWriter(&b)
	err := fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(files, file)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: path.Join(name, file), Method: zip.Deflate, Modified: at}
		header.SetMode(0o644)
		writer, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = writer.Write(content)
		return err
	})
	err = errors.Join(err, archive.Close())
	return b.Bytes(), err
}
