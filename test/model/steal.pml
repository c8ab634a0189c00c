/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Exchange, stealing and orphans: two threads of two members on one pool (conservative: no holder words). Both run the
 * same code, so each is owner and thief, also of each other at the same time. Nobody dies here; see recovery.pml.
 *
 * Checked: no block is in two hands, no magazine is loaded twice, nobody waits, and at the end each block exists once.
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
#define NPROC 2
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
#define NREACHED 7
#include "reached.inc"

/* magazine words: tag | count | owner, changed by compare-and-swap alone */
short W[NMAG];
#define DEPOT	   0
#define SHARD(p)   (1 + (p))
#define HAND(p)	   (3 + (p))
#define OWNER(w)   ((w) & 7)
#define WCOUNT(w)  (((w) >> 3) & 3)
#ifdef FAULT_TAG_NOT_ADVANCED
#define NEXT(w, owner, count) ((owner) | (count) << 3)
#else
#define NEXT(w, owner, count) ((owner) | (count) << 3 | (((w) >> 5) + 1) << 5)
#endif

#define KEPT(w) NEXT(NEXT(w, HAND(me), 0), SHARD(me), 0)

/* what makes a magazine one's own still */
#ifdef FAULT_OWNER_COMPARED_ONLY
#define MINE(found, remembered) (OWNER(found) == SHARD(me))
#else
#define MINE(found, remembered) ((found) == (remembered))
#endif

/* for the checks only */
byte hand[NPROC];	/* blocks in the hands of a member, as a set */
byte finished;

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

/* depot.c sio_orphan_add: the word is not what I remember; keep it in mind as an orphan. One is remembered here. */
inline forget(m, word)
{
	orphan = m;
	orphan_word = word;
	m = NONE;
	word = 0
}

/* take_give.c: may I touch this magazine in the operation I am in? (step 2 of the owner's operation) */
inline validate(m, word, other, other_word)
{
	atomic {
		if
		:: m == NONE
		:: m != NONE && MINE(W[m], word) ->
			/* the same magazine must not pass in both places */
			assert(!(m == other && MINE(W[m], other_word)))
		:: else -> REACHED(0); forget(m, word)
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
		assert(!(hand[0] & (1 << h)) && !(hand[1] & (1 << h)));
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

/* depot.c sio_depot_give: one of my magazines; who loses to a thief forgets it */
inline depot_give(m, word)
{
	atomic {
		if
		:: m != NONE -> n = LOAD(me, COUNT(m))
		:: else
		fi
	}
	if
	:: m == NONE
	:: else ->
		atomic {
			cas_word(m, word, NEXT(word, DEPOT, n));
			if
			:: ok -> m = NONE; word = 0
			:: else -> REACHED(1); forget(m, word)
			fi;
			n = 0
		}
	fi
}

/* depot.c sio_depot_claim: any magazine of the depot that the hints may name */
inline depot_claim()
{
	atomic {
		pick(x);
		word = W[x];
		if
		:: OWNER(word) != DEPOT -> x = NONE
		:: else
		fi
	}
	if
	:: x == NONE
	:: else ->
		atomic {
			cas_word(x, word, NEXT(word, SHARD(me), 0));
			if
			:: ok -> found = x; found_word = NEXT(word, SHARD(me), 0)
			:: else
			fi
		}
	fi;
	atomic { x = NONE; word = 0; ok = 0 }
}

/* depot.c sio_orphan_readopt: equal as a whole, so it was nobody else's in between */
inline orphan_readopt()
{
	atomic {
		if
		:: orphan != NONE && W[orphan] == orphan_word ->
			assert(!(orphan == loaded && MINE(orphan_word, loaded_word)));
			assert(!(orphan == previous && MINE(orphan_word, previous_word)));
			REACHED(2);
			found = orphan;
			found_word = orphan_word;
			orphan = NONE;
			orphan_word = 0
		:: else
		fi
	}
}

/* steal.c sio_steal_round, with a round of one magazine; called and left outside, so that others may steal meanwhile */
inline steal_round()
{
	/* 1: swap_in, of any shard's magazine, also of one that this thread dropped and remembers no more */
	atomic {
		pick(x);
		word = W[x];
		if
		:: OWNER(word) != SHARD(you) && OWNER(word) != SHARD(me) -> x = NONE; word = 0
		:: else
		fi
	}
	if
	:: x == NONE
	:: else ->
		atomic {
			cas_word(x, word, NEXT(word, HAND(me), 0));
			if
			:: !ok -> x = NONE; word = 0
			:: else -> ok = (OWNER(word) == SHARD(me))
			fi
		}
	fi;
	if
	:: x == NONE
	:: else ->
		if
		:: ok -> REACHED(5) /* its owner is this thread, and it is not inside */
		:: else ->
			/* 2: sio_barrier */
#if !defined(FAULT_NO_BARRIER) && !defined(OWNER_FENCES)
			DRAINED(you);
#endif
			/* 3: owner_is_outside, once and again */
			atomic {
				seen = LOAD(me, EPOCH(you));
				if
				:: !(seen & 1) -> REACHED(3); seen = 0; ok = 1
				:: else
				fi
			}
			if
			:: ok
			:: else ->
				atomic {
					if
					:: LOAD(me, EPOCH(you)) != seen -> REACHED(4); ok = 1
					:: else
					fi;
					seen = 0
				}
			fi
		fi;
		if
		:: ok -> /* keep_one */
			atomic {
				cas_word(x, NEXT(word, HAND(me), 0), KEPT(word));
				assert(ok);
				found = x;
				found_word = KEPT(word);
				x = NONE;
				word = 0;
				ok = 0
			}
		:: else -> /* put_back: the word of before, tag included */
			atomic {
				REACHED(6);
				cas_word(x, NEXT(word, HAND(me), 0), word);
				assert(ok);
				x = NONE;
				word = 0;
				ok = 0
			}
		fi
	fi
}

/* take_give.c exchange: gets a magazine from where there may be one; the order of the attempts is left open */
inline exchange()
{
	if
	:: orphan_readopt()
	:: depot_claim()
	:: skip
	fi;
	if
	:: found == NONE && want == 1 ->
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
		validate(loaded, loaded_word, previous, previous_word)
	fi
}

/* One operation of the owner: enter, look at the word, work, leave. */
inline operation()
{
	shard_enter();
	if
	:: want = 1		/* take a block */
	:: hand[me] -> want = 2	/* give a block */
	:: want = 3		/* a thread's end: everything back to the depot */
	fi;
	if
	:: want == 3 ->
		depot_give(loaded, loaded_word);
		depot_give(previous, previous_word)
	:: else ->
		validate(loaded, loaded_word, previous, previous_word);
		atomic { if :: loaded != NONE -> n = LOAD(me, COUNT(loaded)) :: else -> n = NONE fi }
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
			atomic { if :: loaded != NONE -> n = LOAD(me, COUNT(loaded)) :: else -> n = NONE fi }
			if
			:: (want == 1 && n != NONE && n > 0) || (want == 2 && n != NONE && n < MAGSZ)
			:: else ->
				exchange();
				atomic {
					if
					:: loaded != NONE -> n = LOAD(me, COUNT(loaded))
					:: else -> n = NONE
					fi
				}
			fi
		fi;
		if
		:: want == 1 && n != NONE && n > 0 -> take_one()
		:: want == 2 && n != NONE && n < MAGSZ -> give_one()
		:: else
		fi
	fi;
	atomic { n = 0; want = 0 };
	shard_leave()
}

proctype member(byte me, you, ops, loaded, previous; short loaded_word, previous_word)
{
	byte orphan = NONE, found = NONE;
	short orphan_word, found_word, word, tw;
	byte epoch, x = NONE, n, h, seen, want, t;
	bit ok;

	do
	:: ops > 0 -> operation(); ops--
	:: ops == 0 -> break
	od;
	atomic { DRAINED(me); finished++ }
}

init
{
	byte m, i, b, where;

	REACHED_START();
	atomic {
		W[0] = NEXT(0, SHARD(0), 0);
		mem[HANDLE(0, 0)] = 1;
#ifdef START_WITH_TWO
		/* member 0 has a block in its loaded and one in its previous magazine */
		mem[COUNT(0)] = 1;
		W[1] = NEXT(0, SHARD(0), 0);
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
		run member(0, 1, OPS_A, 0, 1, W[0], W[1]);
#else
		run member(0, 1, OPS_A, 0, NONE, W[0], 0);
#endif
		run member(1, 0, OPS_B, NONE, NONE, 0, 0)
	}
	finished == 2;
	d_step {
		b = 1;
		do
		:: b <= NBLK ->
			where = ((hand[0] >> b) & 1) + ((hand[1] >> b) & 1);
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
}
