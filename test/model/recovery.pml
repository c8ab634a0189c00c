/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright (c) 2026 the slabio authors
 */

/*
 * Deaths in the pool, and recovery: an exact pool, with holder words. Members A and B take, give, exchange with the
 * depot and steal from each other. B is killed between any two steps, or not at all. So is R1, the first to recover
 * what B left; R2 recovers at the same time or after it, and once more when all others have ended.
 *
 * Checked: no block is in two hands, no living member meets a block in its magazine that another one has, nobody
 * waits, and in the end each block is in one place, which its holder word names, and no word names a dead member.
 */

#ifndef SB
#define SB 3
#endif
#ifndef OPS_A
#define OPS_A 1
#endif
#ifndef OPS_B
#define OPS_B 1
#endif
#define NPROC 2 /* with store buffers; see take_over for the recoverers */
#define NMEMB 4
#define NMAG  2
#define NBLK  2
#define MAGSZ 2
#define NONE  15

#define A  0
#define B  1
#define R1 2
#define R2 3

/* words written by plain stores; magazine and block numbers from 0 and 1 */
#define EPOCH(s)	(s)
#define COUNT(m)	(2 + (m))
#define NAMED(m)	(2 + NMAG + (m))
#define HANDLE(m, i)	(2 + 2 * NMAG + (m) * MAGSZ + (i))
#define NMEM		(2 + 2 * NMAG + NMAG * MAGSZ)

#include "tso.inc"
#define NREACHED 13
#include "reached.inc"

/* magazine words: tag | count | victim | member | state, changed by compare-and-swap alone */
short W[NMAG];
#define S_DEPOT	      0
#define S_SHARD	      1
#define S_HAND	      2
#define NO_VICTIM     3
#define STATE(w)      ((w) & 3)
#define MEMBER(w)     (((w) >> 2) & 3)
#define VICTIM(w)     (((w) >> 4) & 3)
#define WCOUNT(w)     (((w) >> 6) & 3)
#define TAG(w)	      ((w) >> 8)
#define LET_GO	      (1 << 6) /* of a HAND word, whose count is 0 otherwise */
#define NEXT(w, state, member, victim, count) \
	((state) | (member) << 2 | (victim) << 4 | (count) << 6 | (TAG(w) + 1) << 8)
#define OWN(w)	      NEXT(w, S_SHARD, me, NO_VICTIM, 0)
#define TAKEN(w)      NEXT(w, S_HAND, me, MEMBER(w), 0) /* a thief's, swapped in for w */

/* the word of a thief that swapped its name in for this very word, and may still put it back */
#define MAY_COME_BACK(now, word) \
	(STATE(now) == S_HAND && WCOUNT(now) == 0 && VICTIM(now) == me && TAG(now) == TAG(word) + 1)

/* holder words, changed by compare-and-swap alone */
byte O[NBLK + 1];

bit killed[NMEMB];	/* no further step of it */
bit ended[NMEMB];	/* it came to its end, or was killed */

/* the kernel drops a life token when the process is gone, and with it all its stores are visible */
#define DEAD(p) (killed[p] && ended[p] && DRAINED(p))
/* who is dead for one run of recovery: who was so before its barrier */
#ifdef FAULT_LATE_DEATH
#define IS_DEAD(p) DEAD(p)
#else
#define IS_DEAD(p) (dead & (1 << (p)))
#endif

/* for the checks only: blocks in the hands of a living member, as a set */
byte hand[NMEMB];
#define IN_A_HAND(h) ((hand[A] | hand[B] | hand[R1] | hand[R2]) & (1 << (h)))

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

inline shard_enter()
{
	store(me, EPOCH(me), epoch + 1)
}

inline shard_leave()
{
	atomic { SB_ROOM(me); epoch = (epoch + 2) & 7; store(me, EPOCH(me), epoch) }
}

/*
 * depot.c sio_take_over: the magazine is mine by its word, and was owner's by the word before. Its blocks carry the name
 * that it says, or owner's, who may have died while it took them over; recovery accepts any dead name as well.
 */
#ifdef FAULT_HALF_TAKEN_KEPT
#define NOTHING_TO_DO (giver == me && me < R1)
#define OWNERS(o)     false
#else
#define NOTHING_TO_DO (giver == me && owner == me)
#define OWNERS(o)     ((o) == owner)
#endif
#ifdef FAULT_NAME_NOT_KEPT
#define NAMES(o)      (me < R1 && (o) == giver)
#else
#define NAMES(o)      ((o) == giver)
#endif

inline take_over(m)
{
	atomic {
		giver = LOAD(me, NAMED(m));
		n = LOAD(me, COUNT(m));
		if
		:: NOTHING_TO_DO -> n = 0
		:: else -> if :: giver == me && me < R1 -> REACHED(1) :: else fi
		fi
	}
	do
	:: atomic {
		i < n && DRAINED(me) ->
		h = LOAD(me, HANDLE(m, i));
		if
		:: (me >= R1 || owner != giver) && kept == 1 && LOAD(me, HANDLE(m, 0)) == h -> ok = 0 /* kept_already */
		:: else ->
			if
			:: NAMES(O[h]) || OWNERS(O[h]) -> O[h] = me; ok = 1
			:: !(NAMES(O[h]) || OWNERS(O[h])) && me >= R1 && IS_DEAD(O[h]) -> REACHED(0); O[h] = me; ok = 1
			:: else -> ok = 0
			fi
		fi;
		i++;
		if
		:: ok && kept + 1 != i -> store(me, HANDLE(m, kept), h); kept++
		:: ok && kept + 1 == i -> kept++
		:: else
		fi;
		h = 0;
		ok = 0
	   }
	:: atomic {
		i >= n && SB_ROOM(me) ->
		if
		:: kept < n -> store(me, COUNT(m), kept)
		:: else
		fi;
		n = 0; i = 0; kept = 0;
		break
	   }
	od;
	atomic {
		SB_ROOM(me);
		if
		:: giver != me -> store(me, NAMED(m), me)
		:: else
		fi;
		giver = 0;
		owner = 0
	}
}

inline pick(m)
{
	if
	:: m = 0
	:: m = 1
	fi
}

/* depot.c sio_slot_drop, see steal.pml */
inline drop(m, word)
{
	atomic {
		if
		:: m == NONE
		:: m != NONE && W[m] == word
		:: m != NONE && MAY_COME_BACK(W[m], word) -> ok = 1
		:: else -> m = NONE; word = 0
		fi
	}
	if
	:: !ok
	:: else ->
		atomic {
			DRAINED(me);
			if
			:: W[m] == word -> REACHED(7)
			:: MAY_COME_BACK(W[m], word) ->
				if
				:: killed[MEMBER(W[m])] -> REACHED(8)
				:: else -> REACHED(9)
				fi;
				W[m] = W[m] | LET_GO;
				m = NONE;
				word = 0
			:: else -> m = NONE; word = 0
			fi;
			ok = 0
		}
	fi
}

/* depot.c sio_depot_give; again, if a thief has put it back in the meantime */
inline depot_give()
{
	do
	:: loaded == NONE -> break
	:: else ->
		atomic {
			DRAINED(me);
			n = LOAD(me, COUNT(loaded));
			cas_word(loaded, word, NEXT(word, S_DEPOT, me, NO_VICTIM, n));
			if
			:: ok -> loaded = NONE; word = 0
			:: else
			fi;
			n = 0
		}
		if
		:: ok -> ok = 0
		:: else -> drop(loaded, word)
		fi
	od
}

/* depot.c sio_depot_claim */
inline depot_claim(state)
{
	atomic {
		pick(x);
		word = W[x];
		if
		:: STATE(word) != S_DEPOT -> x = NONE; word = 0
		:: else
		fi
	}
	if
	:: x == NONE
	:: else ->
		atomic {
			cas_word(x, word, NEXT(word, state, me, NO_VICTIM, 0));
			if
			:: ok -> loaded = x; owner = MEMBER(word); word = NEXT(word, state, me, NO_VICTIM, 0)
			:: else -> word = 0
			fi;
			x = NONE;
			ok = 0
		}
		if
		:: loaded != NONE -> take_over(loaded)
		:: else
		fi
	fi
}

/* steal.c sio_steal_round, outside; see steal.pml for the steps */
inline steal_round()
{
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
		DRAINED(you);
		look(you);
		if
		:: ok
		:: else -> /* put_back; or its owner has let go of it */
			atomic {
				cas_word(x, TAKEN(word), word);
				if
				:: ok && killed[MEMBER(word)] -> REACHED(12); x = NONE; word = 0
				:: ok && !killed[MEMBER(word)] -> x = NONE; word = 0
				/* who let go had taken all blocks over */
				:: else -> assert(LOAD(me, NAMED(x)) == MEMBER(word))
				fi;
				ok = !ok
			}
		fi;
		if
		:: ok ->
			atomic { ok = 0; owner = MEMBER(word) }
			take_over(x);
			atomic { /* sio_hand_change */
				DRAINED(me);
				if
				:: W[x] == TAKEN(word)
				:: W[x] == (TAKEN(word) | LET_GO) -> REACHED(10)
				:: else -> assert(false)
				fi;
				word = OWN(TAKEN(word));
				W[x] = word;
				loaded = x;
				x = NONE
			}
		:: else
		fi
	fi
}

/* steal.c owner_is_outside, once and again */
inline look(victim)
{
	atomic {
		seen = LOAD(me, EPOCH(victim));
		if
		:: !(seen & 1) -> seen = 0; ok = 1
		:: else
		fi
	}
	if
	:: ok
	:: else -> atomic { ok = (LOAD(me, EPOCH(victim)) != seen); seen = 0 }
	fi
}

/* looks at the word, and lets go of what a thief has swapped out; then the handles in it, or NONE */
inline work()
{
	drop(loaded, word);
	atomic {
		if
		:: loaded != NONE && W[loaded] == word -> n = LOAD(me, COUNT(loaded))
		:: else -> n = NONE
		fi
	}
}

inline operation()
{
	shard_enter();
	work();
	if
	:: n == NONE ->
		if
		:: depot_claim(S_SHARD)
		:: shard_leave();
		   steal_round();
		   shard_enter()
		fi;
		work()
	:: else
	fi;
	if
	:: n != NONE && n > 0 -> /* take one */
		h = LOAD(me, HANDLE(loaded, n - 1));
		atomic {
			SB_ROOM(me);
			store(me, COUNT(loaded), n - 1);
			assert(h > 0 && O[h] == me && !IN_A_HAND(h));
			hand[me] = hand[me] | (1 << h)
		}
	:: n != NONE && n < MAGSZ && hand[me] -> /* give one */
		atomic {
			SB_ROOM(me);
			if
			:: hand[me] & 2 -> h = 1
			:: hand[me] & 4 -> h = 2
			fi;
			store(me, HANDLE(loaded, n), h)
		}
		atomic {
			SB_ROOM(me);
			store(me, COUNT(loaded), n + 1);
			hand[me] = hand[me] & ~(1 << h)
		}
	:: n != NONE -> depot_give()
	:: true
	fi;
	atomic { n = 0; h = 0; shard_leave() }
}

proctype member(byte me, you, ops, loaded; short word)
{
	byte epoch, x = NONE, n, h, i, kept, giver, owner, seen, dead;
	bit ok;

	{
		do
		:: ops > 0 -> operation(); ops--
		:: ops == 0 -> break
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
		loaded = 0; word = 0; epoch = 0; x = 0; n = 0; h = 0; i = 0; kept = 0; giver = 0; owner = 0;
		seen = 0; ok = 0; ops = 0
	}
}

/* recover.c find_dead, then the barrier: the swaps of these dead are seen by every owner's next look */
inline find_dead()
{
	atomic {
		dead = (DEAD(B) -> 1 << B : 0) | (DEAD(R1) -> 1 << R1 : 0)
	}
	DRAINED(A)
}

/* recover.c settle_magazine: magazines in a dead name */
inline settle_magazines()
{
	do
	:: m < NMAG ->
		atomic {
			word = W[m];
			if
			:: STATE(word) == S_DEPOT || !IS_DEAD(MEMBER(word)) -> word = 0; m++; goto next_magazine
			:: else
			fi;
			/* a thief's: its victim may live, be inside, and not know yet */
			if
			:: STATE(word) == S_SHARD -> REACHED(2); ok = 1
			:: STATE(word) == S_HAND && VICTIM(word) == NO_VICTIM -> REACHED(3); ok = 1
			/* its victim let go of it: nobody but the dead could have had it */
			:: STATE(word) == S_HAND && WCOUNT(word) == 1 -> REACHED(11); ok = 1
			:: STATE(word) == S_HAND && WCOUNT(word) == 0 && VICTIM(word) != NO_VICTIM && IS_DEAD(VICTIM(word)) -> ok = 1
			:: else
			fi
		}
#ifdef FAULT_DEAD_THIEF_TRUSTED
		ok = 1;
#endif
		if
		:: ok
		:: else -> look(VICTIM(word)); REACHED(6)
		fi;
		atomic {
			if
			:: ok -> cas_word(m, word, NEXT(word, S_HAND, me, NO_VICTIM, 0))
			:: else -> REACHED(4) /* for the next run */
			fi;
			if
			:: ok -> loaded = m; owner = MEMBER(word); word = NEXT(word, S_HAND, me, NO_VICTIM, 0)
			:: else -> word = 0 /* or settled by another */
			fi;
			ok = 0;
			m++
		}
		if
		:: loaded == NONE
		:: else -> take_over(loaded); depot_give()
		fi;
next_magazine:
		skip
	:: else -> m = 0; break
	od
}

#ifdef FAULT_ONLY_DEPOT_LEFT
#define LISTED(m) (STATE(W[m]) == S_DEPOT)
#else
#define LISTED(m) true
#endif

/* recover.c settle_hands: blocks in a dead name that were in no magazine at all when the magazines were walked */
inline settle_blocks()
{
	do
	:: m < NMAG ->
		n = LOAD(me, COUNT(m));
		atomic {
			if
			:: LISTED(m) && n > 0 -> marks = marks | 1 << LOAD(me, HANDLE(m, 0))
			:: else
			fi;
			if
			:: LISTED(m) && n > 1 -> marks = marks | 1 << LOAD(me, HANDLE(m, 1))
			:: else
			fi;
			n = 0;
			m++
		}
	:: else -> m = 0; break
	od;
	b = 1;
	do
	:: b <= NBLK ->
		atomic {
			if
			:: !(marks & (1 << b)) && IS_DEAD(O[b]) ->
				REACHED(5);
				O[b] = me;
				assert(!IN_A_HAND(b));
				hand[me] = hand[me] | 1 << b
			:: else
			fi
		}
		if
		:: hand[me] & (1 << b) -> /* into a magazine, and given */
			depot_claim(S_HAND);
			if
			:: loaded == NONE -> skip /* none now: it stays in the hands of the living */
			:: else ->
				atomic {
					n = LOAD(me, COUNT(loaded));
					if
					:: n < MAGSZ ->
						store(me, HANDLE(loaded, n), b);
						store(me, COUNT(loaded), n + 1);
						hand[me] = hand[me] & ~(1 << b)
					:: else
					fi;
					n = 0
				}
				depot_give()
			fi
		:: else
		fi;
		b++
	:: else -> b = 0; marks = 0; break
	od
}

/* recover.c settle_shards: the dead's shard is free; who takes it next begins with an even epoch (local.c take_shard) */
inline free_shard()
{
	atomic {
		if
		:: IS_DEAD(B) && (mem[EPOCH(B)] & 1) -> mem[EPOCH(B)] = (mem[EPOCH(B)] + 1) & 7
		:: else
		fi
	}
}

#define GONE(p) (ended[p] && DRAINED(p))

proctype recoverer(byte me, runs)
{
	byte loaded = NONE, m, b, marks, x = NONE, n, h, i, kept, giver, owner, seen, dead;
	short word;
	bit ok;

	{
		do
		:: runs > 0 ->
			if
			:: (runs == 2 || me == R1) && DEAD(B)
#ifdef START_EARLY
			:: me == R1
#endif
			:: (runs == 2 || me == R1) && GONE(B) && !killed[B] -> goto no_need
			/* the last run, when the others have ended: nothing may stay unsettled */
			:: runs == 1 && me == R2 && GONE(A) && GONE(B) && GONE(R1)
			fi;
			find_dead();
			settle_magazines();
			settle_blocks();
			free_shard();
			dead = 0;
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
		loaded = NONE; m = 0; b = 0; marks = 0; dead = 0; x = NONE; n = 0; h = 0; i = 0; kept = 0; giver = 0; owner = 0;
		seen = 0; word = 0; ok = 0; runs = 0
	}
	if
	:: me == R1
	:: me == R2 ->
		d_step {
			b = 1;
			do
			:: b <= NBLK ->
				n = 0;
				i = 0;
				do
				:: i < NMEMB ->
					if
					:: hand[i] & (1 << b) -> n++; assert(O[b] == i && !killed[i])
					:: else
					fi;
					i++
				:: else -> break
				od;
				m = 0;
				do
				:: m < NMAG ->
					assert(STATE(W[m]) == S_DEPOT || !killed[MEMBER(W[m])]);
					i = 0;
					do
					:: i < mem[COUNT(m)] ->
						if
						:: mem[HANDLE(m, i)] == b -> n++; assert(O[b] == mem[NAMED(m)])
						:: else
						fi;
						i++
					:: else -> break
					od;
					m++
				:: else -> break
				od;
				assert(n == 1);
				b++
			:: else -> break
			od
		}
	fi
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
		O[1] = A;
		O[2] = A;
		mem[HANDLE(0, 0)] = 1;
		mem[HANDLE(0, 1)] = 2;
		mem[COUNT(0)] = 2;
		mem[NAMED(0)] = A;
		mem[NAMED(1)] = A;
		W[1] = NEXT(0, S_DEPOT, A, NO_VICTIM, 0);
#ifdef START_IN_DEPOT
		W[0] = NEXT(0, S_DEPOT, A, NO_VICTIM, 2);
		run member(A, B, OPS_A, NONE, 0);
#else
		W[0] = NEXT(0, S_SHARD, A, NO_VICTIM, 0);
		run member(A, B, OPS_A, 0, W[0]);
#endif
		run member(B, A, OPS_B, NONE, 0);
		run recoverer(R1, 1);
#ifdef TWO_AT_ONCE
		run recoverer(R2, 2);
#else
		run recoverer(R2, 1);
#endif
		run killer(B);
#ifndef START_EARLY
		run killer(R1);
#endif
		run drain(A);
		run drain(B)
	}
}
