package weft

import (
	"encoding/binary"
	"math/bits"
)

// An interner gives each id a small number, from 1. The ids lie in a flat array, and
// an open-addressing table of numbers finds them, so that an id costs 16 bytes and
// about 6 for the table. Numbers of forgotten ids are given again.
type interner[T any] struct {
	ids   vector[ID[T]] // by number
	slots []uint32      // numbers; 0 is empty; linear probing
	free  []uint32
	count int
}

// home is the slot at which the search for an id begins. UUIDs of any version have
// enough that differs in one half or the other.
func (in *interner[T]) home(id ID[T]) int {
	h := binary.BigEndian.Uint64(id[:8])*0x9e3779b97f4a7c15 ^ binary.BigEndian.Uint64(id[8:])
	h *= 0xd6e8feb86659fd93
	return int(h >> (64 - bits.Len(uint(len(in.slots)-1))))
}

func (in *interner[T]) find(id ID[T]) (uint32, bool) {
	if in.count == 0 {
		return 0, false
	}
	slot := in.slot(id)
	return in.slots[slot], in.slots[slot] != 0
}

// slot returns where id is, or where it would be put.
func (in *interner[T]) slot(id ID[T]) int {
	mask := len(in.slots) - 1
	s := in.home(id)
	for in.slots[s] != 0 && *in.ids.at(in.slots[s]) != id {
		s = (s + 1) & mask
	}
	return s
}

func (in *interner[T]) intern(id ID[T]) uint32 {
	if (in.count+1)*4 > len(in.slots)*3 {
		in.rehash(max(64, 2*len(in.slots)))
	}
	slot := in.slot(id)
	if n := in.slots[slot]; n != 0 {
		return n
	}
	var n uint32
	if len(in.free) > 0 {
		n = in.free[len(in.free)-1]
		in.free = in.free[:len(in.free)-1]
	} else {
		n = uint32(max(1, in.ids.n))
		in.ids.grow(int(n) + 1)
	}
	*in.ids.at(n) = id
	in.slots[slot] = n
	in.count++
	return n
}

func (in *interner[T]) rehash(size int) {
	old := in.slots
	in.slots = make([]uint32, size)
	for _, n := range old {
		if n != 0 {
			in.slots[in.slot(*in.ids.at(n))] = n
		}
	}
}

// forget frees a number. The slots behind it move up, so that no search ends early.
func (in *interner[T]) forget(n uint32) {
	mask := len(in.slots) - 1
	hole := in.slot(*in.ids.at(n))
	in.slots[hole] = 0
	for s := (hole + 1) & mask; in.slots[s] != 0; s = (s + 1) & mask {
		home := in.home(*in.ids.at(in.slots[s]))
		if (s-home)&mask >= (s-hole)&mask { // its search passes the hole
			in.slots[hole], in.slots[s] = in.slots[s], 0
			hole = s
		}
	}
	*in.ids.at(n) = ID[T]{}
	in.free = append(in.free, n)
	in.count--
}

// A vector is an array that grows without being copied or holding room to spare.
type vector[T any] struct {
	chunks []*[chunkLen]T
	n      int
}

const chunkLen = 1 << 12

// at returns the i-th element. The pointer stays good when the vector grows.
func (v *vector[T]) at(i uint32) *T { return &v.chunks[i/chunkLen][i%chunkLen] }

// grow makes the vector at least n long.
func (v *vector[T]) grow(n int) {
	for len(v.chunks)*chunkLen < n {
		v.chunks = append(v.chunks, new([chunkLen]T))
	}
	v.n = max(v.n, n)
}

// A bitset is a set of numbers.
type bitset []uint64

func newBitset(n int) bitset { return make(bitset, n/64+1) }

// set adds i and reports whether it is new.
func (b bitset) set(i uint32) bool {
	word, bit := &b[i/64], uint64(1)<<(i%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
