/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * The end of a ring that carries blocks, and hand-over. A has the writer's role and destroys the ring, B has the
 * reader's and leaves, C attaches in either role when it is free, and leaves. Each of them may be killed between any
 * two steps, as may R1, who recovers first; R2 recovers at the end. The ring has one block in it. Besides, A offers another
 * block to C or to anyone, and B or C accepts it.
 *
 * Checked: nobody is in a ring whose number is free, it is closed once, who has a role passed the look at the ring's
 * entry, the offered block is in at most one hand; and in the end, if the ring was destroyed, it is closed and its block
 * free, and no block is left offered or in a dead one's name.
 *
 * All words here are changed by compare-and-swap alone, so there are no store buffers.
 */

#define NPROC 1
#define SB    2
#define NMEM  1
#define NMEMB 5
#define NONE  15

#define A  0
#define B  1
#define C  2
#define R1 3
#define R2 4

#include "tso.inc"
#define NREACHED 6
#include "reached.inc"

/* the ring's entry, and who closes it */
#define BOUND	0
#define ENDING	1
#define CLOSING 2
#define FREE	3
byte entry = BOUND, closer = NONE;

/* roles: 0 the writer's, 1 the reader's */
byte role[2];

bit killed[NMEMB], ended[NMEMB];
#define DEAD(p) ((p) != NONE && killed[p] && ended[p])

bit inside[NMEMB]; /* uses the ring: for the checks */
byte in_ring = 1;  /* blocks at positions of the ring */
byte given;	   /* blocks that closing brought back */

/* the holder word of the offered block: a member, or an offer to C, or to anyone; from is A */
#define TO_C   8
#define TO_ANY 9
#define IS_FREE 10
byte holder = A;
byte hand = 1 << A; /* who was told that it is its own, as a set */

/* rbuff_blocks.c close_if_last, after the own role was given back */
inline close_if_last()
{
	if
	:: atomic { entry == ENDING && role[0] == NONE -> skip }
	   /* a step in between: somebody may take the other role, and look at the entry after */
	   if
	   :: role[1] == NONE ->
		if
		:: atomic { entry == ENDING -> entry = CLOSING; closer = me } close_ring()
		:: entry != ENDING
		fi
	   :: role[1] != NONE -> REACHED(0)
	   fi
	:: entry != ENDING
	:: role[0] != NONE
	fi
}

/* ring_table.c sio__ring_close */
inline close_ring()
{
	atomic {
		assert(!inside[A] && !inside[B] && !inside[C]);
		given = given + in_ring;
		in_ring = 0
	}
	atomic {
		assert(entry == CLOSING && closer == me && !inside[A] && !inside[B] && !inside[C]);
		entry = FREE;
		closer = NONE
	}
}

inline leave(r)
{
	atomic { inside[me] = 0; if :: role[r] == me -> role[r] = NONE :: else fi }
	close_if_last()
}

inline accept()
{
	if
	:: atomic {
		holder == TO_ANY || (holder == TO_C && me == C) ->
		REACHED(1);
		holder = me;
		assert(hand == 0);
		hand = 1 << me
	   }
	:: true
	fi
}

/* gives the block back to the pool */
inline give()
{
	atomic {
		if
		:: holder == me -> holder = IS_FREE; hand = hand & ~(1 << me)
		:: else
		fi
	}
}

proctype destroyer(byte me)
{
	{
		atomic {
			hand = hand & ~(1 << A);
			if
			:: holder = TO_C
			:: holder = TO_ANY
			fi
		}
		if
		/* sio_pool_withdraw */
		:: atomic { holder >= TO_C && holder != IS_FREE -> holder = A; assert(hand == 0); hand = 1 << A } give()
		:: true
		fi;
		atomic { if :: entry == BOUND -> entry = ENDING :: else fi }
		leave(0)
	} unless {
		killed[me]
	}
	atomic { if :: killed[me] -> inside[me] = 0; hand = hand & ~(1 << me) :: else fi; ended[me] = 1 }
}

proctype leaver(byte me)
{
	{
		accept();
		give();
		leave(1)
	} unless {
		killed[me]
	}
	atomic { if :: killed[me] -> inside[me] = 0; hand = hand & ~(1 << me) :: else fi; ended[me] = 1 }
}

/* rbuff_roles.c sio__rbuff_role_take: the role, then the look at the entry */
proctype attacher(byte me)
{
	byte r;

	{
		accept();
		give();
		if
		:: r = 0
		:: r = 1
		fi;
#ifdef FAULT_ENTRY_LOOKED_FIRST
		if
		:: entry == BOUND
		:: entry != BOUND -> goto out
		fi;
#endif
		if
		:: atomic { role[r] == NONE -> role[r] = me }
		:: role[r] != NONE -> goto out
		fi;
#ifndef FAULT_ENTRY_LOOKED_FIRST
		if
		:: atomic { entry == BOUND -> REACHED(2); inside[me] = 1 }
		:: entry != BOUND -> REACHED(3)
		fi;
#else
		inside[me] = 1;
#endif
		leave(r);
out:
		skip
	} unless {
		killed[me]
	}
	atomic {
		if :: killed[me] -> inside[me] = 0; hand = hand & ~(1 << me) :: else fi;
		r = 0;
		ended[me] = 1
	}
}

/* rbuff_settle.c for the ring, recover.c settle_hands for the block */
proctype recoverer(byte me)
{
	byte mine;

	{
		if
		:: me == R1 && (DEAD(A) || DEAD(B) || DEAD(C))
		:: me == R1 && ended[A] && ended[B] && ended[C]
		:: ended[A] && ended[B] && ended[C] && ended[R1]
		fi;
		if
		:: atomic { entry == CLOSING && DEAD(closer) -> REACHED(4); closer = me } close_ring()
		:: entry != CLOSING || !DEAD(closer) ->
			/* settling: the role carries the recoverer's name meanwhile */
			atomic { if :: DEAD(role[0]) -> role[0] = me; mine = mine | 1 :: else fi }
			atomic { if :: DEAD(role[1]) -> role[1] = me; mine = mine | 2 :: else fi }
			if
			:: entry == ENDING && (role[0] == NONE || mine & 1) ->
				if
				:: role[1] == NONE || mine & 2 ->
					if
					:: atomic { entry == ENDING -> REACHED(5); entry = CLOSING; closer = me } close_ring()
					:: entry != ENDING
					fi
				:: !(role[1] == NONE || mine & 2)
				fi
			:: !(entry == ENDING && (role[0] == NONE || mine & 1))
			fi;
			atomic {
				if :: mine & 1 -> role[0] = NONE :: else fi;
				if :: mine & 2 -> role[1] = NONE :: else fi;
				mine = 0
			}
		fi;
		atomic {
#ifdef FAULT_OFFERS_LEFT
			if
			:: holder < NMEMB && DEAD(holder) -> holder = IS_FREE; assert(hand == 0)
			:: else
			fi
#else
			if
			:: holder < NMEMB && DEAD(holder) -> holder = IS_FREE; assert(hand == 0)
			:: holder == TO_C && (ended[A] || ended[C]) -> holder = IS_FREE; assert(hand == 0)
			:: holder == TO_ANY && ended[A] -> holder = IS_FREE; assert(hand == 0)
			:: else
			fi
#endif
		}
	} unless {
		killed[me]
	}
	atomic { mine = 0; ended[me] = 1 }
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
	REACHED_START();
	atomic {
		role[0] = A;
		role[1] = B;
		inside[A] = 1;
		inside[B] = 1;
		run destroyer(A);
		run leaver(B);
		run attacher(C);
		run recoverer(R1);
		run recoverer(R2);
		run killer(A);
		run killer(B);
		run killer(C);
		run killer(R1)
	}
	ended[A] && ended[B] && ended[C] && ended[R1] && ended[R2];
	/* destroyed: closed, and its block came back, once; else it waits with its block for somebody */
	assert(entry == BOUND && in_ring == 1 && given == 0 || entry == FREE && in_ring == 0 && given == 1);
	assert(entry == FREE || role[0] == NONE && role[1] == NONE);
	assert(holder == IS_FREE)
}
