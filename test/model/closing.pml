/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The end of a ring in which blocks are queued, beside a writer that left it and goes on using the pool. In the ring are
 * block 1, in the name of V, which lives and may be killed, and block 2, in the name of D, which is dead. Both roles are
 * free. Y leaves last and closes the ring; it may be killed between any two steps. So may R1, who recovers beside it. R2
 * recovers when all others have ended, and, with TWO_AT_ONCE, beside them as well.
 *
 * What comes back lies in the pool in the name of who gave it, and V takes it again: then it carries the same name as in
 * the queue that it was in.
 *
 * Checked: nobody takes a block that is in hands or free, each comes back, and the ring's number is free in the end.
 *
 * Who closes is alone with the consumed position, and stores it before it gives; all else is changed by compare-and-swap.
 * So there are no store buffers.
 */

#define NPROC 1
#define SB    2
#define NMEM  1
#define NMEMB 5
#define NONE  15

#define V  0
#define D  1
#define Y  2
#define R1 3
#define R2 4

#include "tso.inc"
#define NREACHED 7
#include "reached.inc"

/* the ring's entry, who closes it, and whether it can be found by its name */
#define ENDING	0
#define CLOSING 1
#define FREE	2
byte entry = ENDING, closer = NONE;
bit named = 1;

/* block 1 at position 0, block 2 at position 1, both published */
#define BLOCK(p) ((p) + 1)
byte consumed;

/* holder words; V's and D's names are in the ring's list of writers */
byte holder[3];
#define WRITER(o) ((o) == V || (o) == D)

/* blocks in the pool, as a set, in the name of who gave them */
byte pool, given_by[3];

bit killed[NMEMB], ended[NMEMB];
#define DEAD(p) ((p) != NONE && killed[p] && ended[p])

byte hand[NMEMB]; /* for the checks: blocks in the hands of the living, as sets */
#define IN_A_HAND(b) ((hand[V] | hand[Y] | hand[R1] | hand[R2]) & 1 << (b))

inline got(b)
{
	assert(!IN_A_HAND(b) && !(pool & 1 << (b)));
	holder[b] = me;
	hand[me] = hand[me] | 1 << (b)
}

inline give(b)
{
	atomic {
		if
		:: hand[me] & 1 << (b) ->
			hand[me] = hand[me] & ~(1 << (b));
			pool = pool | 1 << (b);
			given_by[b] = me
		:: else
		fi
	}
}

inline consume()
{
	atomic { assert(entry == CLOSING && closer == me && consumed == p); consumed = p + 1 }
}

/*
 * rbuff_blocks.c sio__rbuff_unload: as a reader does, one block at a time: its own name, consumed, given. `dead` are the
 * members that recovery found dead; none for who leaves last.
 */
inline unload()
{
	p = consumed;
	do
	:: p < 2 ->
		atomic {
			if
			:: WRITER(holder[BLOCK(p)]) -> was = holder[BLOCK(p)]
			:: !WRITER(holder[BLOCK(p)]) && dead & 1 << holder[BLOCK(p)] ->
				REACHED(0); /* a dead closer's, which was about to consume it */
				was = holder[BLOCK(p)]
			:: else -> was = NONE
			fi
		}
		atomic {
			if
			:: was != NONE && holder[BLOCK(p)] == was -> got(BLOCK(p))
			:: else
			fi;
			was = 0
		}
#ifdef FAULT_GIVEN_FIRST
		give(BLOCK(p));
		consume();
#else
		consume();
		give(BLOCK(p));
#endif
		p++
	:: p >= 2 -> break
	od;
	p = 0
}

/* the name goes when nothing is queued any more; then the number is free */
inline close_ring()
{
#ifdef FAULT_NAME_FIRST
	named = 0;
#endif
	unload();
	named = 0;
	atomic { assert(entry == CLOSING && closer == me && consumed == 2); entry = FREE; closer = NONE }
}

/* claiming a magazine takes its blocks over from the giver's name */
inline take(b)
{
	atomic {
		if
		:: pool & 1 << b ->
			if
			:: holder[b] == given_by[b] ->
				pool = pool & ~(1 << b);
				REACHED(1);
				got(b)
			:: else -> assert(false)
			fi
		:: else
		fi;
		b = 0
	}
}

/* a member that goes on: takes what it finds, and gives it back or not */
proctype member(byte me)
{
	byte b;

	{
		do
		:: atomic {
			pool & 2 && !(hand[me] & 2) -> b = 1
		   }
		   take(b)
		:: atomic {
			pool & 4 && !(hand[me] & 4) -> b = 2
		   }
		   take(b)
		:: hand[me] & 2 -> give(1)
		:: hand[me] & 4 -> give(2)
		:: ended[Y] && ended[R1] -> break
		od
	} unless {
		killed[me]
	}
	atomic {
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		b = 0;
		ended[me] = 1
	}
}

/* rbuff_blocks.c close_if_last */
proctype leaver(byte me)
{
	byte p, was, dead;

	{
		if
		:: atomic { entry == ENDING -> entry = CLOSING; closer = me } close_ring()
		:: entry != ENDING
		fi
	} unless {
		killed[me]
	}
	atomic {
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		p = 0; was = 0;
		ended[me] = 1
	}
}

inline note()
{
	/* a position that is not consumed at this look */
	atomic {
		if
		:: p >= consumed && p < 2 -> noted = noted | 1 << BLOCK(p)
		:: else
		fi;
		p++
	}
}

/* recovery: who is dead; the ring; what lies in the pool or in the ring is noted; what is in a dead name and was not noted */
inline recover()
{
	atomic {
		dead = (DEAD(V) -> 1 << V : 0) | 1 << D | (DEAD(Y) -> 1 << Y : 0) | (DEAD(R1) -> 1 << R1 : 0)
	}
	if
	:: atomic { entry == ENDING -> REACHED(2); entry = CLOSING; closer = me } close_ring()
	:: atomic { entry == CLOSING && dead & 1 << closer -> REACHED(3); closer = me } close_ring()
	/* a living one's: found by its name, it is looked at */
#ifndef FAULT_CLOSING_NOT_LOOKED
	:: atomic { entry == CLOSING && !(dead & 1 << closer) && named -> REACHED(4); p = 0 } note(); note()
#else
	:: entry == CLOSING && !(dead & 1 << closer) && named
#endif
	:: entry == CLOSING && !(dead & 1 << closer) && !named -> REACHED(5)
	:: entry == FREE
	fi;
	atomic { p = 1; noted = noted | pool }
	do
	:: atomic {
		p <= 2 ->
		if
		:: dead & 1 << holder[p] && !(noted & 1 << p) -> was = holder[p]
		:: else -> was = NONE
		fi
	   }
	   atomic {
		if
		:: was != NONE && holder[p] == was -> REACHED(6); got(p)
		:: else
		fi;
		was = 0
	   }
	   give(p);
	   p++
	:: p > 2 -> break
	od;
	atomic { p = 0; noted = 0; dead = 0 }
}

proctype recoverer(byte me)
{
	byte p, was, dead, noted;

	{
#ifndef TWO_AT_ONCE
		if
		:: me == R2 -> ended[V] && ended[Y] && ended[R1]
		:: me == R1
		fi;
#endif
		recover();
#ifdef TWO_AT_ONCE
		if
		:: me == R2 -> ended[V] && ended[Y] && ended[R1]; recover()
		:: me == R1
		fi
#endif
	} unless {
		killed[me]
	}
	atomic {
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		p = 0; was = 0; dead = 0; noted = 0;
		ended[me] = 1
	}
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
	byte b;

	REACHED_START();
	atomic {
		holder[1] = V;
		holder[2] = D;
		killed[D] = 1;
		ended[D] = 1;
		run member(V);
		run leaver(Y);
		run recoverer(R1);
		run recoverer(R2);
		run killer(V);
		run killer(Y);
		run killer(R1)
	}
	ended[V] && ended[Y] && ended[R1] && ended[R2];
	d_step {
		assert(entry == FREE && !named && consumed == 2);
		b = 1;
		do
		:: b <= 2 ->
			assert((pool & 1 << b && !IN_A_HAND(b) && holder[b] == given_by[b]) ||
				(!(pool & 1 << b) && hand[V] & 1 << b && holder[b] == V));
			b++
		:: else -> break
		od
	}
}
