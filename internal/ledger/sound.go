package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// The format of a bbolt file, as far as it is needed to read one. All numbers are in the order of this machine.
//
//	page   id 8, flags 2, count 2, overflow 4, then count elements, then what they point to; overflow: pages that follow
//	leaf   element: flags 4 (1: a bucket), pos 4 (from the element), size of key 4, of value 4
//	branch element: pos 4, size of key 4, id of a page 8
//	free   count ids of 8; if count is 0xffff, the first of them says how many follow
//	meta   magic 4, version 4, page size 4, flags 4, root bucket 16, free pages' page 8, pages in use 8, txid 8, FNV-1a 8
//	bucket root page 8, sequence 8; if the root page is 0, a page follows that has no id
const (
	pageHead    = 16
	elementSize = 16

	branchPage = 0x01
	leafPage   = 0x02
	freePage   = 0x10
	bucketFlag = 0x01

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	metaSize    = 64

	maxFile  = 256 << 20 // 65,536 bans of 700 octets, in pages that are half full, with as much that is free
	maxDepth = 32
)

// unsound is why a file is damaged, or none of ours.
type unsound string

func (u unsound) Error() string { return string(u) }

func unsoundf(format string, args ...any) error { return unsound(fmt.Sprintf(format, args...)) }

// boltFile reads a bbolt file without bbolt: that maps the file into memory and believes it, so that a damaged one ends
// the process, or makes it go round in a circle. This one is read page by page, each page once; whatever is wrong is an
// error. A file that was read to its end is safe to be opened.
type boltFile struct {
	file io.ReaderAt
	page int64  // octets
	most uint64 // pages in use
	seen []bool // pages that were read, or are free
	last []byte // the key before this one
}

// meta is one of the two beginnings of a file. They are written in turn, so that one is always whole.
type meta struct {
	page                   int64
	root, free, most, txid uint64
}

// readBolt calls each for every key of the bucket, in their order, and reports whether bbolt may open the file. Not so if
// one of the beginnings is damaged: bbolt would look for it, and might find another than we did. It is an unsound if the
// file is not as it should be, and another error if it cannot be read, or each does not like something.
func readBolt(file io.ReaderAt, size int64, bucket string, each func(key, value []byte) error) (fit bool, err error) {
	if size > maxFile {
		return false, unsoundf("it has %d octets, the most is %d", size, maxFile)
	}
	m, fit, err := readMetas(file, size)
	if err != nil {
		return false, err
	}
	b := &boltFile{file: file, page: m.page, most: m.most, seen: make([]bool, m.most)}
	b.seen[0], b.seen[1] = true, true
	var root, inline []byte
	err = b.walk(m.root, nil, 0, func(flags uint32, key, value []byte) error {
		if flags != bucketFlag || string(key) != bucket || len(value) < elementSize {
			return unsoundf("it holds %.40q, which is none of ours", key)
		}
		root, inline = value[:elementSize], value[elementSize:]
		return nil
	})
	if err == nil && root == nil {
		err = unsound("it holds nothing")
	}
	if err != nil {
		return false, err
	}
	plain := func(flags uint32, key, value []byte) error {
		if flags != 0 {
			return unsoundf("the bucket holds the bucket %.40q", key)
		}
		return each(key, value)
	}
	b.last = nil
	if id := binary.NativeEndian.Uint64(root); id != 0 {
		err = b.walk(id, nil, 0, plain)
	} else if len(inline) < pageHead || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		err = unsound("the bucket has no page")
	} else {
		err = b.leaf(inline, nil, plain)
	}
	if err == nil {
		err = b.walkFree(m.free)
	}
	return fit && err == nil, err
}

// readMetas returns the beginning that holds, and whether both are whole.
func readMetas(file io.ReaderAt, size int64) (m meta, both bool, err error) {
	var first, second meta
	first, err1 := readMeta(file, 0)
	page := first.page
	if err1 != nil {
		page = 4096 // of nearly every machine; another's second beginning is not found then
	}
	second, err2 := readMeta(file, page)
	switch {
	case err1 != nil && err2 != nil:
		return m, false, err1
	case err1 != nil || err2 == nil && second.txid > first.txid:
		m = second
	default:
		m = first
	}
	both = err1 == nil && err2 == nil
	switch {
	case m.page != page:
		return m, false, unsoundf("its pages have %d and %d octets", page, m.page)
	case m.most < 4 || m.most > uint64(size/m.page):
		return m, false, unsoundf("it is cut off: %d pages of %d octets are in use, it has %d octets", m.most, m.page, size)
	case m.txid >= math.MaxInt64:
		return m, false, unsound("its transactions have no numbers left")
	}
	return m, both, nil
}

func readMeta(file io.ReaderAt, at int64) (m meta, err error) {
	raw := make([]byte, pageHead+metaSize)
	if err := readAt(file, raw, at); err != nil {
		return m, err
	}
	raw = raw[pageHead:]
	n32 := func(i int) uint32 { return binary.NativeEndian.Uint32(raw[i:]) }
	n64 := func(i int) uint64 { return binary.NativeEndian.Uint64(raw[i:]) }
	sum := fnv.New64a()
	sum.Write(raw[:56])
	size := n32(8)
	switch {
	case n32(0) != boltMagic:
		return m, unsound("it is no bbolt file")
	case n32(4) != boltVersion:
		return m, unsoundf("it is a bbolt file of version %d", n32(4))
	case n64(56) != sum.Sum64():
		return m, unsound("its beginning is damaged")
	case size < 1<<10 || size > 1<<16 || size&(size-1) != 0:
		return m, unsoundf("its pages have %d octets", size)
	}
	return meta{page: int64(size), root: n64(16), free: n64(32), most: n64(40), txid: n64(48)}, nil
}

// readAt fills a buffer.
func readAt(file io.ReaderAt, b []byte, at int64) error {
	_, err := file.ReadAt(b, at)
	if errors.Is(err, io.EOF) {
		return unsound("it is cut off")
	}
	return err
}

// take reads a page with those that follow it, which nobody has read before.
func (b *boltFile) take(id uint64) ([]byte, error) {
	if id < 2 || id >= b.most {
		return nil, unsoundf("there is no page %d", id)
	}
	head := make([]byte, pageHead)
	if err := readAt(b.file, head, int64(id)*b.page); err != nil {
		return nil, err
	}
	pages := 1 + uint64(binary.NativeEndian.Uint32(head[12:]))
	if own := binary.NativeEndian.Uint64(head); own != id {
		return nil, unsoundf("page %d says that it is %d", id, own)
	}
	if id+pages > b.most {
		return nil, unsoundf("page %d goes on for %d pages", id, pages)
	}
	for i := id; i < id+pages; i++ {
		if err := b.see(i); err != nil {
			return nil, err
		}
	}
	page := make([]byte, int64(pages)*b.page)
	return page, readAt(b.file, page, int64(id)*b.page)
}

// see marks a page, which has one use only.
func (b *boltFile) see(id uint64) error {
	if id < 2 || id >= b.most || b.seen[id] {
		return unsoundf("page %d is used twice, or is none", id)
	}
	b.seen[id] = true
	return nil
}

// walk goes through a tree, whose keys are in order. first is the first key that a page has by what its branch says, or nil
// at the root: bbolt finds a page again by it, and would add one twice that has another.
func (b *boltFile) walk(id uint64, first []byte, depth int, each eachElement) error {
	if depth > maxDepth {
		return unsound("its tree is too deep")
	}
	page, err := b.take(id)
	if err != nil {
		return err
	}
	switch flags := binary.NativeEndian.Uint16(page[8:]); flags {
	case leafPage:
		return b.leaf(page, first, each)
	case branchPage:
		return b.branch(page, first, depth, each)
	default:
		return unsoundf("page %d has the flags %#x", id, flags)
	}
}

// eachElement takes an element of a leaf.
type eachElement func(flags uint32, key, value []byte) error

func (b *boltFile) branch(page, first []byte, depth int, each eachElement) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if count == 0 {
		return unsound("a branch has no leaves")
	}
	e := elements{page: page, count: count}
	for i := range count {
		key, _, err := e.at(i, 0, 4, -1)
		if err == nil {
			err = b.order(key, first, i)
		}
		if err != nil {
			return err
		}
		if err := b.walk(binary.NativeEndian.Uint64(page[pageHead+elementSize*i+8:]), key, depth+1, each); err != nil {
			return err
		}
	}
	return nil
}

func (b *boltFile) leaf(page, first []byte, each eachElement) error {
	count := int(binary.NativeEndian.Uint16(page[10:]))
	if count == 0 && first != nil {
		return unsound("a leaf is empty")
	}
	e := elements{page: page, count: count}
	for i := range count {
		key, value, err := e.at(i, 4, 8, 12)
		if err == nil {
			err = b.order(key, first, i)
		}
		if err == nil {
			err = each(binary.NativeEndian.Uint32(page[pageHead+elementSize*i:]), key, value)
		}
		if err != nil {
			return err
		}
		b.last = key
	}
	return nil
}

// order checks the key of the element i of a page: after all before it, and the first one as its branch has it.
func (b *boltFile) order(key, first []byte, i int) error {
	if b.last != nil && bytes.Compare(key, b.last) <= 0 || i == 0 && first != nil && !bytes.Equal(key, first) {
		return unsound("its keys are out of order")
	}
	return nil
}

// elements are those of a page. What they point to does not overlap, so that no page takes longer than its octets.
type elements struct {
	page         []byte
	count, total int
}

// at returns the key and the value of an element, given where it says its position and their sizes; below 0: nowhere.
func (e *elements) at(i, pos, keySize, valueSize int) (key, value []byte, err error) {
	start := pageHead + elementSize*i
	if pageHead+elementSize*e.count > len(e.page) {
		return nil, nil, unsound("a page has more elements than room")
	}
	number := func(at int) int {
		if at < 0 {
			return 0
		}
		return int(binary.NativeEndian.Uint32(e.page[start+at:]))
	}
	k, v := number(keySize), number(valueSize)
	from := start + number(pos)
	e.total += k + v
	if k == 0 || from < pageHead+elementSize*e.count || from+k+v > len(e.page) || e.total > len(e.page) {
		return nil, nil, unsound("an element points out of its page")
	}
	return e.page[from : from+k : from+k], e.page[from+k : from+k+v : from+k+v], nil
}

// walkFree reads which pages are free: none that is in use, and none twice.
func (b *boltFile) walkFree(id uint64) error {
	page, err := b.take(id)
	if err != nil {
		return err
	}
	if flags := binary.NativeEndian.Uint16(page[8:]); flags != freePage {
		return unsoundf("the page of the free pages has the flags %#x", flags)
	}
	count, page := uint64(binary.NativeEndian.Uint16(page[10:])), page[pageHead:]
	if count == math.MaxUint16 {
		count, page = binary.NativeEndian.Uint64(page), page[8:]
	}
	if count > uint64(len(page)/8) {
		return unsoundf("%d pages are free, more than can be listed", count)
	}
	for i := range count {
		if err := b.see(binary.NativeEndian.Uint64(page[8*i:])); err != nil {
			return err
		}
	}
	return nil
}
