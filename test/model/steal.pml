/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Exchange, stealing and letting go: threads of two members, or with -DTHREE of three, on one pool (conservative: no
 * holder words). All run the same code, so each is owner and thief, also of each other at the same time. Nobody dies
 * here; see recovery.pml.
 *
 * Checked: no block is in two hands, no magazine is remembered twice, nobody waits; and at the end each block exists
 * once, and each magazine is in the depot or remembered by the one thread that its word names.
 */

#ifndef SB
#define SB 3
#endif
#ifndef OPS_A
#define OPS_A 2
#endif
#ifndef OPS_B
#define OPS_B 2
#endif
#ifdef THREE
#define NPROC 3
#ifndef OPS_C
#define OPS_C 1
#endif
#else
#define NPROC 2
#endif
#define NMAG  3
#define NBLK  2
#define MAGSZ 2
#define NONE  15

/* words written by plain stores */
#define EPOCH(s)	(s)
#define COUNT(m)	(NPROC + (m))
#define HANDLE(m, i)	(NPROC + NMAG + (m) * MAGSZ + (i))
#define NMEM		(NPROC + NMAG + NMAG * MAGSZ)

#include "tso.inc"
#define NREACHED 9
#include "reached.inc"

/* magazine words: tag | count | shard | member | state, changed by compare-and-swap alone */
short W[NMAG];
#define S_DEPOT	   0
#define S_SHARD	   1
#define S_HAND	   2
#define STATE(w)   ((w) & 3)
#define MEMBER(w)  (((w) >> 2) & 3)
#define VICTIM(w)  (((w) >> 4) & 3) /* whose shard it was swapped out of */
#define WCOUNT(w)  (((w) >> 6) & 3)
#define TAG(w)	   ((w) >> 8)
#define LET_GO	   (1 << 6) /* of a HAND word, whose count is 0 otherwise */
#define MAKE(state, member, shard, count) ((state) | (member) << 2 | (shard) << 4 | (count) << 6)
#ifdef FAULT_TAG_NOT_ADVANCED
#define TAG_AFTER(w) 0
#else
#define TAG_AFTER(w) (TAG(w) + 1)
#endif
#define NEXT(w, state, member, shard, count) (MAKE(state, member, shard, count) | TAG_AFTER(w) << 8)

#define OWN(w)	  NEXT(w, S_SHARD, me, me, 0)
#define TAKEN(w)  NEXT(w, S_HAND, me, MEMBER(w), 0) /* a thief's, swapped in for w */

/* the word of a thief that swapped its name in for this very word, and may still put it back */
#ifdef FAULT_ANY_MARKED
#define MAY_COME_BACK(now, word) (STATE(now) == S_HAND && WCOUNT(now) == 0)
#else
#define MAY_COME_BACK(now, word) \
	(STATE(now) == S_HAND && WCOUNT(now) == 0 && VICTIM(now) == me && TAG(now) == TAG_AFTER(word))
#endif

/* what makes a magazine one's own still */
#ifdef FAULT_OWNER_COMPARED_ONLY
#define MINE(found, remembered) (STATE(found) == S_SHARD && MEMBER(found) == me)
#else
#define MINE(found, remembered) ((found) == (remembered))
#endif

/* for the checks only */
byte hand[NPROC];	/* blocks in the hands of a member, as a set */
byte finished;
byte kept_mag[2 * NPROC];	/* what a thread remembers when it comes to its end */
short kept_word[2 * NPROC];
#ifdef THREE
#define IN_A_HAND(b) ((hand[0] | hand[1] | hand[2]) & (1 << (b)))
#else
#define IN_A_HAND(b) ((hand[0] | hand[1]) & (1 << (b)))
#endif

inline cas_word(m, old, new)
{
	atomic {
		DRAINED(me);
		if
		:: W[m] == (old) -> W[m] = (new); ok = 1
		:: else -> ok = 0
		fi
	}
}

/* any magazine: hints may name any, and are not believed */
inline pick(m)
{
	if
	:: m = 0
	:: m = 1
	:: m = 2
	fi
}

/*
 * depot.c sio_slot_drop: the word is not what I remember. If a thief may still put it back, it is told not to; if it was put
 * back first, the magazine is mine as before. What its compare-and-swap finds decides, so its repetitions are one step.
 */
inline drop(m, word)
{
#ifdef FAULT_FORGET
	atomic {
		if
		:: W[m] == word
		:: else -> m = NONE; word = 0
		fi
	}
#else
	atomic {
		if
		:: W[m] == word -> skip
		:: MAY_COME_BACK(W[m], word) -> marks = 1
		:: else -> REACHED(0); m = NONE; word = 0
		fi
	}
	if
	:: !marks
	:: else ->
		atomic {
			DRAINED(me);
			if
			:: W[m] == word -> REACHED(1)
			:: MAY_COME_BACK(W[m], word) -> REACHED(2); W[m] = W[m] | LET_GO; m = NONE; word = 0
			:: else -> m = NONE; word = 0
			fi;
			marks = 0
		}
	fi
#endif
}

/*
 * take_give.c: may I touch this magazine in the operation I am in? (step 2 of the owner's operation) After it either m is
 * NONE, or mine; or it was put back just now, which the next look shows.
 */
inline validate(m, word, other, other_word)
{
	atomic {
		if
		:: m == NONE -> fine = 1
		:: m != NONE && MINE(W[m], word) ->
			/* the same magazine must not pass in both places */
			assert(!(m == other && MINE(W[m], other_word)));
			fine = 1
		:: else
		fi
	}
	if
	:: fine
	:: else -> drop(m, word)
	fi;
	fine = 0
}

/* the handles in the loaded magazine, if it is mine now: looked at before each use */
inline look_loaded()
{
	atomic {
		if
		:: loaded != NONE && MINE(W[loaded], loaded_word) -> n = LOAD(me, COUNT(loaded))
		:: else -> n = NONE
		fi
	}
}

/* take_give.c: copies one handle out, then stores the smaller count */
inline take_one()
{
	atomic { h = LOAD(me, HANDLE(loaded, n - 1)) }
	atomic {
		SB_ROOM(me);
		store(me, COUNT(loaded), n - 1);
		assert(h > 0);
		assert(!IN_A_HAND(h));
		hand[me] = hand[me] | (1 << h);
		h = 0
	}
}

/* take_give.c: copies one handle in, then stores the larger count */
inline give_one()
{
	atomic {
		SB_ROOM(me);
		if
		:: hand[me] & 2 -> h = 1
		:: hand[me] & 4 -> h = 2
		fi;
		store(me, HANDLE(loaded, n), h);
	}
	atomic {
		SB_ROOM(me);
		store(me, COUNT(loaded), n + 1);
		hand[me] = hand[me] & ~(1 << h);
		h = 0
	}
}

/* shard_enter */
inline shard_enter()
{
	atomic { SB_ROOM(me); epoch++; store(me, EPOCH(me), epoch) }
#ifdef OWNER_FENCES
	DRAINED(me)
#endif
}

/* shard_leave */
inline shard_leave()
{
	atomic { SB_ROOM(me); epoch++; store(me, EPOCH(me), epoch) }
}

/* depot.c sio_depot_give: one of my magazines; again, if a thief has put it back in the meantime */
inline depot_give(m, word)
{
	atomic {
		if
		:: m != NONE -> n = LOAD(me, COUNT(m))
		:: else
		fi
	}
	do
	:: m == NONE -> break
	:: else ->
		atomic {
			cas_word(m, word, NEXT(word, S_DEPOT, me, 0, n));
			if
			:: ok -> m = NONE; word = 0
			:: else -> REACHED(3)
			fi
		}
		if
		:: ok -> ok = 0
		:: else -> drop(m, word)
		fi
	od;
	n = 0
}

/* depot.c sio_depot_claim: any magazine of the depot that the hints may name */
inline depot_claim()
{
	atomic {
		pick(x);
		word = W[x];
		if
		:: STATE(word) != S_DEPOT -> x = NONE
		:: else
		fi
	}
	if
	:: x == NONE
	:: else ->
		atomic {
			cas_word(x, word, OWN(word));
			if
			:: ok -> found = x; found_word = OWN(word)
			:: else
			fi
		}
	fi;
	atomic { x = NONE; word = 0; ok = 0 }
}

/* steal.c sio_steal_round, with a round of one magazine; called and left outside, so that others may steal meanwhile */
inline steal_round()
{
	/* 1: swap_in, of any other shard's magazine */
	atomic {
		pick(x);
		word = W[x];
		if
		:: STATE(word) != S_SHARD || MEMBER(word) == me -> x = NONE; word = 0
		:: else
		fi
	}
	if
	:: x == NONE
	:: else ->
		atomic {
			cas_word(x, word, TAKEN(word));
			if
			:: !ok -> x = NONE; word = 0
			:: else -> ok = 0
			fi
		}
	fi;
	if
	:: x == NONE
	:: else ->
		/* 2: sio_barrier */
#if !defined(FAULT_NO_BARRIER) && !defined(OWNER_FENCES)
		DRAINED(MEMBER(word));
#endif
		/* 3: owner_is_outside, once and again */
		atomic {
			seen = LOAD(me, EPOCH(MEMBER(word)));
			if
			:: !(seen & 1) -> REACHED(4); seen = 0; ok = 1
			:: else
			fi
		}
		if
		:: ok
		:: else ->
			atomic {
				if
				:: LOAD(me, EPOCH(MEMBER(word))) != seen -> REACHED(5); ok = 1
				:: else
				fi;
				seen = 0
			}
		fi;
		if
		:: ok
		:: else -> /* put_back: the word of before, tag included; or its owner has let go of it */
			atomic {
				cas_word(x, TAKEN(word), word);
				if
				:: ok -> REACHED(6); x = NONE; word = 0
				:: else -> REACHED(7)
				fi;
				ok = !ok
			}
		fi;
		if
		:: ok -> /* keep_one: what does not fit goes to the depot; sio_hand_change */
			atomic {
				DRAINED(me);
				n = LOAD(me, COUNT(x));
				if
				:: W[x] == TAKEN(word)
				:: W[x] == (TAKEN(word) | LET_GO) -> REACHED(8)
				:: else -> assert(false)
				fi;
				if
				:: (want == 1 && n > 0) || (want == 2 && n < MAGSZ) ->
					found = x;
					found_word = OWN(TAKEN(word));
					W[x] = found_word
				:: else -> W[x] = NEXT(TAKEN(word), S_DEPOT, me, 0, n)
				fi;
				n = 0;
				x = NONE;
				word = 0;
				ok = 0
			}
		:: else
		fi
	fi
}

/* take_give.c exchange: gets a magazine from where there may be one; the order of the attempts is left open */
inline exchange()
{
	validate(previous, previous_word, loaded, loaded_word);
	if
	:: depot_claim()
	:: skip
	fi;
	if
	:: found == NONE ->
		shard_leave();
		steal_round();
		shard_enter()
	:: else
	fi;
	if
	:: found == NONE
	:: else ->
		depot_give(previous, previous_word);
		atomic {
			previous = loaded;
			previous_word = loaded_word;
			loaded = found;
			loaded_word = found_word;
			found = NONE;
			found_word = 0
		}
#ifndef FAULT_NOT_LOOKED_AGAIN
		validate(loaded, loaded_word, previous, previous_word)
#endif
	fi
}

/* One operation of the owner: enter, look at the word, work, leave. */
inline operation()
{
	atomic {
		if
		:: want = 1		/* take a block */
		:: hand[me] -> want = 2	/* give a block */
		:: want = 3		/* a thread's end: everything back to the depot */
		fi;
		shard_enter()
	}
	if
	:: want == 3 ->
		depot_give(loaded, loaded_word);
		depot_give(previous, previous_word)
	:: else ->
		validate(loaded, loaded_word, previous, previous_word);
		look_loaded();
		if
		:: (want == 1 && n != NONE && n > 0) || (want == 2 && n != NONE && n < MAGSZ)
		:: else ->
			/* the other of the two, looked at as well; or not, when the owner believes it useless */
			if
			:: atomic {
				t = loaded; loaded = previous; previous = t;
				tw = loaded_word; loaded_word = previous_word; previous_word = tw;
				t = 0; tw = 0
			   }
			   validate(loaded, loaded_word, previous, previous_word)
			:: true
			fi;
			look_loaded();
			if
			:: (want == 1 && n != NONE && n > 0) || (want == 2 && n != NONE && n < MAGSZ)
			:: else ->
				exchange();
#ifdef FAULT_NOT_LOOKED_AGAIN
				atomic { if :: loaded != NONE -> n = LOAD(me, COUNT(loaded)) :: else -> n = NONE fi }
#else
				/* what was stolen came to this thread while it was outside: it may be gone again */
				look_loaded()
#endif
			fi
		fi;
		if
		:: want == 1 && n != NONE && n > 0 -> take_one()
		:: want == 2 && n != NONE && n < MAGSZ -> give_one()
		:: else
		fi
	fi;
	atomic { n = 0; want = 0; shard_leave() }
}

proctype member(byte me, ops, loaded, previous; short loaded_word, previous_word)
{
	byte found = NONE;
	short found_word, word, tw;
	byte epoch, x = NONE, n, h, seen, want, t;
	bit ok, marks, fine;

	do
	:: ops > 0 -> operation(); ops--
	:: ops == 0 -> break
	od;
	atomic {
		DRAINED(me);
		kept_mag[2 * me] = loaded;
		kept_word[2 * me] = loaded_word;
		kept_mag[2 * me + 1] = previous;
		kept_word[2 * me + 1] = previous_word;
		finished++
	}
}

/* when all have ended: each block is in one place */
inline check_blocks()
{
	b = 1;
	do
	:: b <= NBLK ->
		where = 0;
		i = 0;
		do
		:: i < NPROC -> where = where + ((hand[i] >> b) & 1); i++
		:: else -> break
		od;
		m = 0;
		do
		:: m < NMAG ->
			i = 0;
			do
			:: i < mem[COUNT(m)] -> where = where + (mem[HANDLE(m, i)] == b -> 1 : 0); i++
			:: else -> break
			od;
			m++
		:: else -> break
		od;
		assert(where == 1);
		b++
	:: else -> break
	od
}

/* and each magazine in the depot, or remembered by one thread, once, with the word that it has */
inline check_magazines()
{
	m = 0;
	do
	:: m < NMAG ->
		where = 0;
		i = 0;
		do
		:: i < 2 * NPROC ->
			if
			:: kept_mag[i] == m && kept_word[i] == W[m] -> where++; assert(MEMBER(W[m]) == i / 2)
			:: else
			fi;
			i++
		:: else -> break
		od;
		assert(STATE(W[m]) != S_HAND);
		assert(where == (STATE(W[m]) == S_SHARD -> 1 : 0));
		m++
	:: else -> break
	od
}

init
{
	byte m, i, b, where;

	REACHED_START();
	atomic {
		W[0] = MAKE(S_SHARD, 0, 0, 0);
		mem[HANDLE(0, 0)] = 1;
#ifdef START_WITH_TWO
		/* member 0 has a block in its loaded and one in its previous magazine */
		mem[COUNT(0)] = 1;
		W[1] = MAKE(S_SHARD, 0, 0, 0);
		mem[HANDLE(1, 0)] = 2;
		mem[COUNT(1)] = 1;
#else
		/* member 0 has both blocks in its loaded magazine */
		mem[HANDLE(0, 1)] = 2;
		mem[COUNT(0)] = 2;
#endif
		run drain(0);
		run drain(1);
#ifdef START_WITH_TWO
		run member(0, OPS_A, 0, 1, W[0], W[1]);
#else
		run member(0, OPS_A, 0, NONE, W[0], 0);
#endif
		run member(1, OPS_B, NONE, NONE, 0, 0);
#ifdef THREE
		run drain(2);
		run member(2, OPS_C, NONE, NONE, 0, 0)
#endif
	}
	finished == NPROC;
	d_step {
		check_blocks();
		check_magazines()
	}
}
