/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Blocks of an exact pool in a ring, and deaths on both sides. Writer A has the blocks 1 and 2, reader B takes
 * what comes; each may be killed between any two steps, and so may R1, who recovers first. R2 recovers after it or at
 * the same time, and once more at the end. Writer A2, with block 3, and reader N follow when the place is free.
 *
 * What is queued carries its writer's name. The reader alone stores holder words; recovery goes by what lies in the ring.
 * A batch of two is written in order, or as a packet: a whole write.
 *
 * Checked: no block is in two hands, a packet is published whole, a reader that finds a block published gets it, nobody takes a block from a living
 * member, nobody waits, and in the end each block is in one place, which its holder word names.
 */

#ifndef SB
#define SB 2
#endif
#define NPROC 2 /* with store buffers: writers share one, as the second comes when the first is gone; so do readers */
#define NMEMB 6
#define NBLK  3
#define SLOTS 2
#define NONE  15

#define A  0
#define B  1
#define R1 2
#define R2 3
#define A2 4
#define N  5

/* words written by plain stores */
#define SLOT(p)	 ((p) & 1)
#define CONSUMED 2
#define HOLDER(b) (2 + (b)) /* by the reader; recoverers change them by compare-and-swap */
#define NMEM	 6

#include "tso.inc"
#define NREACHED 6
#include "reached.inc"

/* a slot's word holds position and element, so that one store writes and publishes both */
#define ELEMENT(p, b) (((p) + 1) << 2 | (b))
#define BLOCK(v)      ((v) & 3)
#define AT(v, p)      (((v) >> 2) == (p) + 1)

/* holder words: a member, or a position of the ring */
#define RING(p)	   (8 + (p))
#define IN_RING(o) ((o) >= 8)
#define POS(o)	   ((o) - 8)
/* the ring's list of writers */
#define WRITER(o) ((o) == A || (o) == A2)

/* who has the writer's and the reader's place, changed by compare-and-swap alone */
byte writer_place = A, reader_place = B;

bit killed[NMEMB];
bit ended[NMEMB]; /* it came to its end or was killed, and all its stores are visible */
#define DEAD(p) (killed[p] && ended[p])

/* for the checks only: blocks in the hands of the living, as sets; positions at which a whole write of two begins */
byte hand[NMEMB];
byte heads;
#define IN_A_HAND(b) \
	((hand[A] | hand[B] | hand[R1] | hand[R2] | hand[A2] | hand[N]) & (1 << (b)))

/* an element and its end word */
inline slot(p, b)
{
	store(cpu, SLOT(p), ELEMENT(p, b))
}

/* in order; or, a whole write, w1 of the slots after the first, then w2 */
inline slots()
{
#ifdef FAULT_HEAD_FIRST
	slot(pos, b);
	if
	:: b2 -> slot(pos + 1, b2)
	:: else
	fi
#else
	if
	:: b2 && heads & (1 << pos) -> slot(pos + 1, b2); slot(pos, b)
	:: b2 && !(heads & (1 << pos)) -> slot(pos, b); slot(pos + 1, b2)
	:: else -> slot(pos, b)
	fi
#endif
}

/* rbuff write of an exact pool's blocks, one or two at a time */
inline ring_write()
{
	atomic {
		if
		:: hand[me] & 2 -> b = 1
		:: !(hand[me] & 2) && hand[me] & 4 -> b = 2
		:: !(hand[me] & 6) && hand[me] & 8 -> b = 3
		fi;
		if
		:: b == 1 && hand[me] & 4 && pos + 2 - LOAD(cpu, CONSUMED) <= SLOTS ->
			b2 = 2;
			if
			:: heads = heads | 1 << pos
			:: heads = heads & ~(1 << pos)
			fi
		:: heads = heads & ~(1 << pos)
		fi;
		hand[me] = hand[me] & ~(1 << b | (b2 -> 1 << b2 : 0))
	}
	slots();
	atomic {
		pos = pos + 1 + (b2 -> 1 : 0);
		b = 0;
		b2 = 0
	}
}

/* where the ring ends, from its slots alone; its writer is gone or is the one who looks */
inline find_end(p)
{
	atomic {
		p = mem[CONSUMED];
		if
		:: AT(mem[SLOT(p)], p) -> p++
		:: else
		fi;
		if
		:: AT(mem[SLOT(p)], p) -> p++
		:: else
		fi
	}
}

/* before a successor writes: what its predecessor stored behind the published end, and never published */
inline clear_tail()
{
	if
	:: AT(LOAD(cpu, SLOT(pos + 1)), pos + 1) ->
		REACHED(5);
		store(cpu, SLOT(pos + 1), 0)
	:: else
	fi
}

proctype writer(byte me)
{
	byte cpu = 0, pos, b, b2;

	{
		if
		:: me == A
		:: me == A2 ->
			if
			:: atomic {
#ifdef FAULT_PLACE_TAKEN_EARLY
				writer_place != NONE && DEAD(writer_place) || writer_place == NONE -> writer_place = A2
#else
				writer_place == NONE -> writer_place = A2
#endif
			   }
			   find_end(pos);
#ifndef FAULT_TAIL_KEPT
			   clear_tail()
#endif
			:: ended[A] && !killed[A] -> goto leave
			fi
		fi;
		do
		:: hand[me] && pos + 1 - LOAD(cpu, CONSUMED) <= SLOTS -> ring_write()
		:: true -> break /* no more to write, or no room: it does not wait */
		od;
leave:
		skip
	} unless {
		killed[me]
	}
	atomic {
		DRAINED(cpu);
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		ended[me] = 1;
		pos = 0; b = 0; b2 = 0
	}
}

/* r1 and r2 for the position p; b is the block got, or 0 */
inline r12(p, b)
{
	atomic {
		v = LOAD(cpu, SLOT(p));
		if
		:: AT(v, p) ->
			end = p + 1;
			b = BLOCK(v);
			/* the packet is there whole */
			assert(!(heads & (1 << (p))) || AT(LOAD(cpu, SLOT(p + 1)), p + 1))
		:: else -> b = 0
		fi;
		v = 0
	}
	/* r2: a look, then a plain store */
	atomic {
		if
		:: b && LOAD(cpu, HOLDER(b)) != RING(p) && !WRITER(LOAD(cpu, HOLDER(b))) -> b = 0; lost = 1
		:: else
		fi
	}
	atomic {
		SB_ROOM(cpu);
		if
		:: b ->
			/* nobody has changed it since the look */
			assert(LOAD(cpu, HOLDER(b)) == RING(p) || WRITER(LOAD(cpu, HOLDER(b))));
			store(cpu, HOLDER(b), me)
		:: else
		fi
	}
}

/* rbuff read of an exact pool's blocks, one or two at a time */
inline ring_read()
{
#ifdef FAULT_CONSUMED_FIRST
	atomic { SB_ROOM(cpu); store(cpu, CONSUMED, pos + 1) }
#endif
	r12(pos, b);
	if
	:: end == pos + 1 -> r12(pos + 1, b2)
	:: true
	fi;
	atomic {
		SB_ROOM(cpu);
		if
		:: end > pos -> store(cpu, CONSUMED, end); pos = end
		:: else
		fi;
		if
		:: b ->
			assert(!IN_A_HAND(b));
			hand[me] = hand[me] | 1 << b;
			if
			:: me == N -> REACHED(3)
			:: else
			fi
		:: else
		fi;
		if
		:: b2 -> REACHED(4); assert(!IN_A_HAND(b2)); hand[me] = hand[me] | 1 << b2
		:: else
		fi;
		b = 0;
		b2 = 0;
		end = 0;
		/* while all keep to the protocol there is nobody to lose to */
		assert(!lost)
	}
}

proctype reader(byte me)
{
	byte cpu = 1, pos, b, b2, v, end;
	bit lost;

	{
		if
		:: me == B
		:: me == N ->
			if
			:: atomic {
#ifdef FAULT_PLACE_TAKEN_EARLY
				reader_place != NONE && DEAD(reader_place) || reader_place == NONE -> reader_place = N
#else
				reader_place == NONE -> reader_place = N
#endif
			   }
			   pos = mem[CONSUMED]
			:: ended[B] && !killed[B] -> goto leave
			fi
		fi;
		do
		:: AT(LOAD(cpu, SLOT(pos)), pos) -> ring_read()
		:: true -> break /* empty, or wants no more */
		od;
leave:
		skip
	} unless {
		killed[me]
	}
	atomic {
		DRAINED(cpu);
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		ended[me] = 1;
		pos = 0; b = 0; b2 = 0; v = 0; end = 0
	}
}

/* recovery, step 3, the writer's side: it names nothing; its place becomes free */
inline settle_writer()
{
	atomic {
		writer_place != NONE && DEAD(writer_place) -> writer_place = NONE
	}
}

/* recovery, step 3, the reader's side: what it had taken over, and did not state as read, goes back into the queue */
inline settle_reader()
{
	atomic {
		reader_place != NONE && DEAD(reader_place) -> reader_place = me;
		p = mem[CONSUMED]
	}
	do
	:: atomic {
		AT(mem[SLOT(p)], p) ->
		v = mem[HOLDER(BLOCK(mem[SLOT(p)]))];
		if
		:: v < NMEMB && DEAD(v) && !WRITER(v) ->
			REACHED(1);
			mem[HOLDER(BLOCK(mem[SLOT(p)]))] = RING(p)
		:: else
		fi;
		v = 0;
		p++
	   }
	:: atomic { !AT(mem[SLOT(p)], p) -> p = 0; reader_place = NONE; break }
	od
}

#define QUEUED(b) \
	(AT(mem[SLOT(mem[CONSUMED])], mem[CONSUMED]) && \
		(BLOCK(mem[SLOT(mem[CONSUMED])]) == b || \
			AT(mem[SLOT(mem[CONSUMED] + 1)], mem[CONSUMED] + 1) && \
				BLOCK(mem[SLOT(mem[CONSUMED] + 1)]) == b))

/*
 * recovery, step 4: first what is queued is noted, position by position, and believed only if it is not consumed after
 * the look; then blocks in a dead name that were not noted. It may be held up between any of these.
 */
inline note(p)
{
	if
#ifndef FAULT_RING_NOT_LOOKED
	/* not consumed, so not written anew: what was read before this look is what was written at p */
	:: p < end && mem[CONSUMED] <= p -> noted = noted | 1 << BLOCK(mem[SLOT(p)])
#endif
	:: else
	fi
}

inline settle_blocks()
{
	atomic {
		find_end(end);
		p = mem[CONSUMED];
		note(p);
		p++
	}
	atomic {
		note(p);
		p = 0;
		end = 0
	}
	/* look and compare-and-swap are one step: it succeeds only where the word is still what was looked at */
	do
	:: atomic {
		b <= NBLK ->
		v = mem[HOLDER(b)];
		if
		:: IN_RING(v) || !DEAD(v) || !(dead & 1 << v)
		:: !IN_RING(v) && DEAD(v) && dead & 1 << v && noted & 1 << b ->
			if
			:: WRITER(v) -> REACHED(0)
			:: else
			fi
		:: else ->
			REACHED(2);
			mem[HOLDER(b)] = me;
			assert(!IN_A_HAND(b) && !QUEUED(b));
			hand[me] = hand[me] | 1 << b
		fi;
		v = 0;
		b++
	   }
	:: atomic { b > NBLK -> b = 1; noted = 0; dead = 0; break }
	od
}

proctype recoverer(byte me, runs)
{
	byte p, b = 1, v, end, noted, dead;

	{
		do
		:: runs > 0 ->
			if
			:: (runs == 2 || me == R1) && (DEAD(A) || DEAD(B))
			/* the last run, when the others have ended: nothing may stay unsettled */
			:: runs == 1 && me == R2 && ended[A] && ended[B] && ended[R1] &&
				(ended[A2] || !ended[A2] && killed[A] && writer_place != NONE) &&
				(ended[N] || !ended[N] && killed[B] && reader_place != NONE)
			:: (runs == 2 || me == R1) && ended[A] && ended[B] -> goto no_need
			fi;
			/* who died later is left for the next run */
			atomic {
				dead = (DEAD(A) -> 1 << A : 0) | (DEAD(B) -> 1 << B : 0) | (DEAD(A2) -> 1 << A2 : 0) |
					(DEAD(N) -> 1 << N : 0) | (DEAD(R1) -> 1 << R1 : 0) | (DEAD(R2) -> 1 << R2 : 0)
			}
			if
			:: settle_writer()
			:: writer_place == NONE || !DEAD(writer_place)
			fi;
			if
			:: settle_reader()
			:: reader_place == NONE || !DEAD(reader_place)
			fi;
			settle_blocks();
no_need:
			runs--
		:: runs == 0 -> break
		od
	} unless {
		killed[me]
	}
	atomic {
		if
		:: killed[me] -> hand[me] = 0
		:: else
		fi;
		ended[me] = 1;
		p = 0; b = 0; v = 0; end = 0; noted = 0; dead = 0
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
	byte b, i, where, p;

	REACHED_START();
	atomic {
		mem[HOLDER(1)] = A;
		mem[HOLDER(2)] = A;
		mem[HOLDER(3)] = A2;
		hand[A] = 6;
		hand[A2] = 8;
		run writer(A);
		run reader(B);
		run writer(A2);
		run reader(N);
		run recoverer(R1, 1);
#ifdef TWO_AT_ONCE
		run recoverer(R2, 2);
#else
		run recoverer(R2, 1);
#endif
#ifdef TWO_AT_ONCE
		/* one death beside that of R1 */
		if
		:: run killer(A)
		:: run killer(B)
		fi;
#else
		run killer(A);
		run killer(B);
#endif
		run killer(R1);
		run drain(0);
		run drain(1)
	}
	ended[A] && ended[B] && ended[A2] && ended[N] && ended[R1] && ended[R2];
	d_step {
		b = 1;
		do
		:: b <= NBLK ->
			where = 0;
			i = 0;
			do
			:: i < NMEMB ->
				if
				:: hand[i] & (1 << b) -> where++; assert(mem[HOLDER(b)] == i && !killed[i])
				:: else
				fi;
				i++
			:: else -> break
			od;
			if
			:: QUEUED(b) ->
				where++;
				p = POS(mem[HOLDER(b)]);
				assert(WRITER(mem[HOLDER(b)]) || IN_RING(mem[HOLDER(b)]) && p >= mem[CONSUMED] && mem[SLOT(p)] == ELEMENT(p, b))
			:: else
			fi;
			assert(where == 1);
			b++
		:: else -> break
		od
	}
}
