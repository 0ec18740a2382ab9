:- module(proof_explorer, [why/1, why_not/1, ask/2]).

/** <module> Explanations for a rule base

Rules are ordinary clauses written with `<-`, so that the vanilla
meta-interpreter can carry a proof object along. Two questions are answered:

  - why(Goal)      prints the proof tree of the first solution
  - why_not(Goal)  prints, for each rule that could have applied, the first
                   condition that failed once the earlier ones had held

The example rule base grades the faults of a greenhouse heating circuit.
*/

:- op(1150, xfx, <-).
:- op(900, fy, not).
:- discontiguous (<-)/2.
:- dynamic (<-)/2, observed/1.

% ---------------------------------------------------------------- rules

fault(burner, no_ignition)   <- calls_for_heat, not flame, gas_pressure(ok).
fault(gas_supply, closed)    <- calls_for_heat, gas_pressure(low), not flame.
fault(pump, seized)          <- flame, flow(none), pump_current(high).
fault(pump, no_power)        <- flame, flow(none), pump_current(none).
fault(valve(Zone), stuck)    <- zone(Zone), commanded(Zone, open),
                                cold(Zone), flow(good).
fault(sensor(Zone), drifted) <- zone(Zone), neighbours(Zone, Other),
                                difference(Zone, Other, D), compute(D > 8).

cold(Zone)                   <- temperature(Zone, T), setpoint(Zone, S),
                                compute(T < S - 3).
calls_for_heat               <- zone(Zone), commanded(Zone, open), cold(Zone).
difference(A, B, D)          <- temperature(A, TA), temperature(B, TB),
                                compute(D is abs(TA - TB)).
neighbours(A, B)             <- adjacent(A, B).
neighbours(A, B)             <- adjacent(B, A).

zone(Z)                      <- adjacent(Z, _).

observed(adjacent(propagation, tomato)).
observed(adjacent(tomato, orchid)).
observed(temperature(propagation, 21)).
observed(temperature(tomato, 12)).
observed(temperature(orchid, 20)).
observed(setpoint(tomato, 18)).
observed(setpoint(propagation, 20)).
observed(commanded(tomato, open)).
observed(flame).
observed(flow(good)).
observed(gas_pressure(ok)).

% --------------------------------------------------- interpreter proper

%!  prove(+Goal, -Proof) is nondet.
%
%   Proof is fact(G), arith(G), absent(G), both(P, Q) or rule(Head, P).

prove(true, true) :- !.
prove((A, B), both(PA, PB)) :- !,
    prove(A, PA),
    prove(B, PB).
prove(not A, absent(A)) :- !,
    \+ prove(A, _).
prove(compute(G), arith(G)) :- !,
    call(G).
prove(G, fact(G)) :-
    observed(G).
prove(G, rule(G, Proof)) :-
    (G <- Body),
    prove(Body, Proof).

%!  ask(?Goal, -Proofs) is det.
%
%   All distinct instances of Goal, each with one proof.

ask(Goal, Proofs) :-
    findall(Goal-Proof, prove(Goal, Proof), All),
    sort(1, @<, All, Proofs).

why(Goal) :-
    (   prove(Goal, Proof)
    ->  show(Proof, 0)
    ;   format("~p cannot be shown. Try why_not/1.~n", [Goal])
    ).

show(true, _).
show(both(A, B), N)  :- show(A, N), show(B, N).
show(fact(G), N)     :- line(N, "~p  (observed)", [G]).
show(arith(G), N)    :- line(N, "~p  (computed)", [G]).
show(absent(G), N)   :- line(N, "nothing shows ~p", [G]).
show(rule(G, P), N)  :-
    line(N, "~p because", [G]),
    N1 is N + 1,
    show(P, N1).

line(N, Format, Args) :-
    forall(between(1, N, _), write('    ')),
    format(Format, Args), nl.

%!  why_not(+Goal) is det.

why_not(Goal) :-
    prove(Goal, _), !,
    format("But ~p does hold:~n", [Goal]),
    why(Goal).
why_not(Goal) :-
    findall(Body, (Goal <- Body), []), !,
    format("No rule concludes ~p, and it was not observed.~n", [Goal]).
why_not(Goal) :-
    forall(( copy_term(Goal, G), (G <- Body) ),
           ( furthest(Body, Held, Stuck),
             format("~p was tried:~n", [G]),
             forall(member(H, Held), line(1, "~p held", [H])),
             line(1, "~p did NOT", [Stuck]) )).

%   Of all ways to run into failure, report the one that got furthest.
furthest(Body, Held, Stuck) :-
    conditions(Body, Conditions),
    findall(N-(Done-Next), dead_end(Conditions, [], 0, N, Done, Next), Ends),
    sort(1, @>=, Ends, [_-(Reversed-Stuck)|_]),
    reverse(Reversed, Held).

dead_end([C|_], Held, N, N, Held, C) :-
    \+ prove(C, _).
dead_end([C|Cs], Held, N0, N, Done, Next) :-
    prove(C, _),
    N1 is N0 + 1,
    dead_end(Cs, [C|Held], N1, N, Done, Next).

conditions((A, B), [A|Cs]) :- !, conditions(B, Cs).
conditions(A, [A]).
