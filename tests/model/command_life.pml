/* The life of commands (kernel/ipc/command.h), for spin: callers with deadlines who may be killed, a service that
 * returns, returns twice, hangs or dies, its next instance, the end of the port.
 *
 *     tests/model/run [command_life]      every interleaving; part of `make test` as model/command_life
 *
 * What the kernel does under the port's lock is one atomic step here; what it does without the lock is steps of its own:
 * the wait and its end (thread->lock), the worker's look at what it was handed (generation, state), the copy of the
 * message between DELIVERED and ACCEPTED.
 *
 * Shown: each try of a command is completed at most once, and never by a token of another try; each call has one outcome;
 * no call waits for ever, whatever the service does; an operation that may not be done twice is not done twice;
 * nothing is left on a list; a service is told that a killed caller has left if it has the command, and only then.
 */
#ifndef CALLERS
#define CALLERS 1 /* 2 at most; `make soak` has 2 */
#endif
#ifndef CALLS
#define CALLS 2 /* each caller's */
#endif
#define LIVES   2 /* instances of the service, one after the other */
#define NOBODY  255

mtype = { IDLE, QUEUED, DELIVERED, ACCEPTED, DONE };                            /* states */
mtype = { NONE, OK, RESEND, RESTARTED, DOWN, CANCELLED, TIMED_OUT, KILLED };    /* outcomes */

typedef command {
    mtype state = IDLE;
    mtype status = NONE;
    byte generation;
    byte server;      /* the life that has it */
    bool once;        /* OP_ONCE */
    bool cancelling;  /* on server->cancels */
    bool delivering;  /* ACCEPTED, but the worker may yet find its caller gone */
    bool abandoned;   /* on server->cancels, and its caller has left: the slot waits until the list lets go of it */
    byte got;         /* ghost: the generation that a service got last */
    bool waiting;     /* the caller's thread may be woken */
    byte try;         /* ghost: which try this is */
    byte completions; /* ghost: of this try */
    byte carried_out; /* ghost: how often the service did what this call asks */
};

command commands[2];
byte life;                /* of the service that accepts; 0: none yet */
bool alive, closed;
bool idle;                /* its worker is on port->workers */
byte delivered = NOBODY;  /* to the idle worker, ... */
byte delivered_generation;
byte finished;            /* callers that made all their calls */

/* Port locked. */
inline complete(i, outcome) {
    assert(commands[i].state != IDLE && commands[i].state != DONE);
    commands[i].completions++;
    assert(commands[i].completions == 1);
    commands[i].state = DONE;
    commands[i].status = outcome;
    commands[i].cancelling = false;
    commands[i].waiting = false; /* thread_wake: no effect on one that was woken otherwise */
}

/* Port locked: to the idle worker, or into the queue. */
inline send(i) {
    assert(commands[i].state == IDLE && !commands[i].cancelling);
    commands[i].try++;
    commands[i].completions = 0;
    commands[i].status = NONE;
    commands[i].waiting = true;
    if
    :: alive && idle ->
        idle = false;
        delivered = i;
        delivered_generation = commands[i].generation;
        commands[i].server = life;
        commands[i].state = DELIVERED
    :: else ->
        commands[i].state = QUEUED
    fi
}

proctype caller(byte i) {
    mtype reason, outcome;
    byte calls;
    bool patient; /* has no deadline, and nobody kills it: somebody must answer */

    do
    :: calls == CALLS -> break
    :: else ->
        calls++;
        atomic {
            if
            :: commands[i].once = true
            :: commands[i].once = false
            fi;
            if
            :: patient = true
            :: patient = false
            fi;
            commands[i].carried_out = 0
        }
        outcome = RESEND;
        !commands[i].abandoned; /* another thread's call by now: the slot is free */
        do
        :: outcome != RESEND -> break
        :: else ->
            atomic {
                if
                :: closed -> outcome = DOWN; goto over
                :: else -> send(i)
                fi
            }
            /* wait_block */
            if
            :: !commands[i].waiting -> reason = NONE
            :: atomic { commands[i].waiting && !patient -> commands[i].waiting = false; reason = TIMED_OUT }
            :: atomic { commands[i].waiting && !patient -> commands[i].waiting = false; reason = KILLED }
            fi;
            /* conclude, withdraw */
            atomic {
                if
                :: reason != KILLED &&
                   (commands[i].state == DELIVERED || commands[i].state == ACCEPTED) ->
                    commands[i].cancelling = true;
                    commands[i].waiting = true
                :: else -> goto leaving
                fi
            }
            if /* the grace */
            :: !commands[i].waiting -> skip
            :: atomic { commands[i].waiting -> commands[i].waiting = false }
            fi;
leaving:
            atomic {
                if
                :: commands[i].state != DONE -> outcome = reason
                :: commands[i].state == DONE && commands[i].status == CANCELLED ->
                    outcome = (reason == NONE -> CANCELLED : reason)
                :: else -> outcome = commands[i].status
                fi;
                commands[i].cancelling = false;
                if
                :: reason == KILLED && commands[i].state == ACCEPTED && !commands[i].delivering ->
                    assert(commands[i].got == commands[i].generation);
                    commands[i].abandoned = true
                :: else
                fi;
                commands[i].delivering = false;
                commands[i].state = IDLE;
                commands[i].generation++;
                assert(outcome != NONE);
                if
                :: reason == KILLED && outcome == RESEND -> outcome = KILLED
                :: else
                fi
            }
        od;
over:
        assert(outcome != RESEND && outcome != NONE);
        assert(!commands[i].once || commands[i].carried_out <= 1)
    od;
    finished++
}

/* One life of the service. What it holds: `token`, of command `held`. */
proctype service(byte me) {
    byte held = NOBODY, token, try, i;
    bool again;

    do
    :: atomic { finished == CALLERS -> goto dead }
    :: atomic { true -> goto dead }
    :: atomic { /* proto_accept: cancellations, then the queue, else idle */
            skip; /* or the `else` below would be the choice's */
            if
            :: commands[0].abandoned && commands[0].server == me -> commands[0].abandoned = false;
                if
                :: held == 0 -> goto returning /* what is in vain now */
                :: else
                fi
            :: commands[1].abandoned && commands[1].server == me -> commands[1].abandoned = false;
                if
                :: held == 1 -> goto returning
                :: else
                fi
            :: commands[0].cancelling && commands[0].server == me -> commands[0].cancelling = false;
                if
                :: held == 0 -> goto returning /* it gives back what it holds */
                :: else
                fi
            :: commands[1].cancelling && commands[1].server == me -> commands[1].cancelling = false;
                if
                :: held == 1 -> goto returning
                :: else
                fi
            :: else ->
                if
                :: commands[0].state == QUEUED -> i = 0
                :: commands[1].state == QUEUED -> i = 1
                :: else -> idle = true; i = NOBODY
                fi;
                if
                :: i != NOBODY ->
                    commands[i].state = DELIVERED;
                    commands[i].server = me;
                    delivered = i;
                    delivered_generation = commands[i].generation
                :: else
                fi
            fi
        }
        if
        :: delivered != NOBODY
        :: idle && (commands[0].cancelling || commands[1].cancelling ||
                    commands[0].abandoned || commands[1].abandoned) -> atomic { idle = false }; goto next
        :: finished == CALLERS -> goto dead
        :: goto dead /* killed as it sleeps */
        fi;
        atomic { /* take_delivered, take_command: the copy begins */
            i = delivered;
            delivered = NOBODY;
            idle = false;
            if
            :: commands[i].generation == delivered_generation && commands[i].state == DELIVERED &&
               commands[i].server == me ->
                commands[i].state = ACCEPTED;
                commands[i].delivering = true;
                token = commands[i].generation;
                try = commands[i].try
            :: else -> i = NOBODY /* its caller left before we ran */
            fi
        }
        if
        :: i == NOBODY -> goto next
        :: else
        fi;
        /* deliver: the copy has ended; is the caller still there? */
        atomic {
            if
            :: commands[i].generation == token && commands[i].state == ACCEPTED && commands[i].server == me ->
                commands[i].delivering = false;
                commands[i].got = token;
                held = i
            :: else -> goto next
            fi
        }
        if
        :: atomic { true -> /* it does the work */
                if
                :: commands[held].generation == token -> commands[held].carried_out++
                :: else
                fi
            }
        :: skip /* or not */
        fi;
        if
        :: goto next /* it hangs with it, goes on to something else, dies */
        :: skip
        fi;
returning:
        again = true;
        do
        :: atomic { /* proto_return: command_find, command_complete */
                if
                :: held != NOBODY && commands[held].state == ACCEPTED &&
                   commands[held].generation == token && commands[held].server == me ->
                    assert(commands[held].try == try);
                    if
                    :: complete(held, OK)
                    :: commands[held].carried_out == 0 -> complete(held, CANCELLED)
                    fi
                :: else /* E_CANCELLED */
                fi
            }
            if
            :: again -> again = false /* and returns it a second time */
            :: break
            fi
        od;
next:   skip
    od;
dead:
    atomic { /* server_gone: commands go back to their callers */
        i = 0;
        do
        :: i == CALLERS -> break
        :: else ->
            if
            :: commands[i].server == me && commands[i].state == DELIVERED -> complete(i, RESEND)
            :: commands[i].server == me && commands[i].state == ACCEPTED ->
                if
                :: commands[i].once -> complete(i, RESTARTED)
                :: else -> complete(i, RESEND)
                fi
            :: commands[i].server == me && commands[i].abandoned -> commands[i].abandoned = false
            :: else
            fi;
            commands[i].delivering = false;
            i++
        od;
        delivered = NOBODY;
        idle = false;
        alive = false
    }
}

/* Starts each life when the last is over; after the last one the port is closed. */
active proctype supervisor() {
    byte i;

    atomic {
        do
        :: i == CALLERS -> break
        :: else -> run caller(i); i++
        od
    }
    do
    :: life == LIVES -> break
    :: else ->
        atomic { life++; alive = true; run service(life) }
        !alive
    od;
    atomic { /* port_closed */
        closed = true;
        i = 0;
        do
        :: i == CALLERS -> break
        :: else ->
            if
            :: commands[i].state == QUEUED -> complete(i, DOWN)
            :: else
            fi;
            i++
        od
    }
    finished == CALLERS;
    assert(commands[0].state == IDLE && commands[1].state == IDLE);
    assert(!commands[0].cancelling && !commands[1].cancelling);
    assert(!commands[0].abandoned && !commands[1].abandoned)
}
