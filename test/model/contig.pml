/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Contiguous takes in an exact pool. A and B take all of the region and give blocks back one by one; A also passes some to
 * B. A may be killed between any two steps, and so may R1, who recovers while B goes on; R2 recovers when all have ended,
 * with TWO_AT_ONCE also before, beside R1.
 *
 * Checked: no block is in two hands; nothing is given back that is not out; recovery takes nothing that a living one has;
 * and in the end, when the living have given everything back, all is free.
 *
 * The cells' words and the holder words are stored plainly by some and swapped by others: all lie behind store buffers.
 */

#ifndef CELLS
#define CELLS 2
#endif
#ifndef BPC
#define BPC 1 /* blocks of a cell */
#endif
#ifndef OPS_A
#define OPS_A 1
#endif
#ifndef OPS_B
#define OPS_B 1
#endif
#define BLOCKS (CELLS * BPC)

#define NPROC 2 /* the recoverers change words by compare-and-swap alone */
#define SB    2
#define NMEM  (CELLS + BLOCKS)
#define NMEMB 4
#define NONE  15

#define A  0
#define B  1
#define R1 2
#define R2 3

#include "tso.inc"
#define NREACHED 5
#include "reached.inc"

#define X(c)	  (c)
#define O(b)	  (CELLS + (b))
#define CELL(b)	  ((b) / BPC)
#define BIT(b)	  (1 << ((b) % BPC))
#define ALL	  ((1 << BPC) - 1)
#define FREE	  0
#define TAKING(p) (8 + (p)) /* less than 8: the bitmap of those out */
#define IS_OUT(w) ((w) > 0 && (w) < 8)

bit killed[NMEMB], ended[NMEMB];
#define DEAD(p) ((p) < NMEMB && killed[p] && ended[p])

/* who was told that a block is its own: for the checks */
byte hand[BLOCKS];
#if BLOCKS == 1
#define HOLDS_NONE(p) (hand[0] != (p))
#elif BLOCKS == 2
#define HOLDS_NONE(p) (hand[0] != (p) && hand[1] != (p))
#elif BLOCKS == 3
#define HOLDS_NONE(p) (hand[0] != (p) && hand[1] != (p) && hand[2] != (p))
#else
#define HOLDS_NONE(p) (hand[0] != (p) && hand[1] != (p) && hand[2] != (p) && hand[3] != (p))
#endif

/* contig.c release(): done says whether it was in the bitmap */
inline release(me, b)
{
	do
	:: w = LOAD(me, X(CELL(b)));
	   if
	   :: !(IS_OUT(w) && w & BIT(b)) -> assert(false)
	   :: else
	   fi;
	   atomic {
		DRAINED(me);
		if
		:: mem[X(CELL(b))] == w -> mem[X(CELL(b))] = w & ~BIT(b); w = 0; break
		:: else -> REACHED(0)
		fi
	   }
	od
}

/* contig.c claim(), take_out() */
inline take()
{
	c = 0;
	do
	:: c < CELLS ->
		atomic {
			DRAINED(me);
			if
			:: mem[X(c)] == FREE -> mem[X(c)] = TAKING(me); c++
			:: else -> break
			fi
		}
	:: c == CELLS -> break
	od;
	if
	:: c < CELLS ->
		/* another one has a cell: those before it are given up */
		do
		:: c > 0 -> REACHED(1); store(me, X(c - 1), FREE); c--
		:: c == 0 -> break
		od
	:: c == CELLS ->
#ifdef FAULT_OUT_BEFORE_HOLDERS
		c = 0;
		do
		:: c < CELLS -> store(me, X(c), ALL); c++
		:: c == CELLS -> break
		od;
#endif
		b = 0;
		do
		:: b < BLOCKS -> store(me, O(b), me); b++
		:: b == BLOCKS -> break
		od;
		b = 0;
#ifndef FAULT_OUT_BEFORE_HOLDERS
		c = 0;
		do
		:: c < CELLS -> store(me, X(c), ALL); c++
		:: c == CELLS -> break
		od;
#endif
		c = 0;
		/* the take returns */
		atomic {
			do
			:: b < BLOCKS -> assert(hand[b] == NONE || DEAD(hand[b])); hand[b] = me; b++
			:: b == BLOCKS -> break
			od;
			b = 0
		}
	fi
}

/* what is in this one's hands is given back, or passed to the other one */
inline give_or_pass()
{
	b = 0;
	do
	:: b < BLOCKS ->
		if
		:: atomic { hand[b] == me -> hand[b] = NONE }
		   w = LOAD(me, O(b));
		   assert(w == me);
		   w = 0;
		   release(me, b)
		/* hand_over.c, both halves in one step */
		:: atomic { me == A && hand[b] == me && DRAINED(me) && !ended[1 - me] ->
			assert(mem[O(b)] == me);
			REACHED(2);
			mem[O(b)] = 1 - me;
			hand[b] = 1 - me }
		:: hand[b] != me
		fi;
		b++
	:: b == BLOCKS -> break
	od;
	b = 0
}

proctype member(byte me; byte ops)
{
	byte b, c, w;

	{
		do
		:: ops > 0 -> ops--; take(); give_or_pass()
		:: ops == 0 -> break
		od;
		/* also what the other one passed; nothing is passed to one that has ended */
		do
		:: give_or_pass();
		   if
		   :: atomic { HOLDS_NONE(me) && DRAINED(me) -> ended[me] = 1; break }
		   :: !HOLDS_NONE(me)
		   fi
		od
	} unless {
		killed[me]
	}
	DRAINED(me);
	atomic { b = 0; c = 0; w = 0; ended[me] = 1 }
}

#ifdef FAULT_LATE_DEATH
#define IS_DEAD(p) DEAD(p)
#else
#define IS_DEAD(p) (dead & 1 << (p))
#endif

proctype recoverer(byte me)
{
	byte b, c, w, marks, runs, dead;

	{
		if
#ifdef TWO_AT_ONCE
		:: DEAD(A)
		:: me == R2 && DEAD(R1)
#else
		:: me == R1 && DEAD(A)
#endif
		:: ended[A] && ended[B] && (me == R1 || ended[R1])
		fi;
again:
		/* recover.c find_dead(): who dies later is left for the next run */
		dead = DEAD(A) | DEAD(R1) << R1;
		/* sio__contig_settle() */
		c = 0;
		do
		:: c < CELLS ->
			atomic {
				w = mem[X(c)];
#ifdef FAULT_TAKING_OF_THE_LIVING
				if :: w >= 8 -> mem[X(c)] = FREE :: else fi;
#else
				if :: w >= 8 && IS_DEAD(w - 8) -> REACHED(3); mem[X(c)] = FREE :: else fi;
#endif
				w = 0
			}
			c++
		:: c == CELLS -> break
		od;
		/* sio__contig_mark(): before any holder word is looked at */
		c = 0;
		marks = 0;
		do
		:: c < CELLS ->
			atomic {
				b = 0;
				do
				:: b < BLOCKS ->
#ifdef FAULT_TAKING_NOT_MARKED
					if
					:: CELL(b) == c && !(mem[X(c)] >= 8 || mem[X(c)] & BIT(b)) -> marks = marks | (1 << b)
					:: else
					fi;
#else
					if
					:: CELL(b) == c && (mem[X(c)] >= 8 || !(mem[X(c)] & BIT(b))) -> marks = marks | (1 << b)
					:: else
					fi;
#endif
					b++
				:: b == BLOCKS -> break
				od;
				b = 0
			}
			c++
		:: c == CELLS -> break
		od;
		c = 0;
		/* settle_hands() */
		do
		:: b < BLOCKS ->
			if
			:: marks & (1 << b)
			:: !(marks & (1 << b)) ->
				w = mem[O(b)];
				if
				:: IS_DEAD(w) ->
					atomic {
						if
						:: mem[O(b)] == w ->
							REACHED(4);
							assert(hand[b] == NONE || DEAD(hand[b]));
							mem[O(b)] = me;
							hand[b] = NONE;
							w = 1
						:: else -> w = 0
						fi
					}
					if
					:: w == 1 -> w = 0; release(me, b)
					:: w == 0
					fi
				:: !IS_DEAD(w)
				fi;
				w = 0
			fi;
			b++
		:: b == BLOCKS -> break
		od;
		atomic { b = 0; marks = 0 }
		if
#ifdef TWO_AT_ONCE
		:: me == R2 && runs == 0 && ended[A] && ended[B] && ended[R1] -> runs = 1; goto again
		:: me == R2 && runs == 1
#else
		:: me == R2
#endif
		:: me == R1
		fi
	} unless {
		killed[me]
	}
	atomic { b = 0; c = 0; w = 0; marks = 0; runs = 0; dead = 0; ended[me] = 1 }
}

proctype killer(byte victim)
{
	if
	:: atomic { !ended[victim] -> killed[victim] = 1 }
	:: true
	fi
}

init
{
	byte i;

	REACHED_START();
	atomic {
		do
		:: i < BLOCKS -> hand[i] = NONE; i++
		:: i == BLOCKS -> break
		od;
		i = 0;
		run drain(A);
		run drain(B);
		run member(A, OPS_A);
		run member(B, OPS_B);
		run recoverer(R1);
		run recoverer(R2);
		run killer(A);
		run killer(R1)
	}
	ended[A] && ended[B] && ended[R1] && ended[R2];
	do
	:: i < CELLS -> assert(mem[X(i)] == FREE); i++
	:: i == CELLS -> break
	od
}
