/*  Berth planning for a small container terminal.

    Ships arrive over the coming days, need a stretch of quay and a number of
    hours that depends on how many cranes they are given. A plan assigns to
    every ship a position along the quay, a start hour and a crew of cranes,
    and minimises the weighted hours that ships lie waiting.

    swipl -g main berth_planner.pl
*/

:- use_module(library(clpfd)).
:- use_module(library(apply)).
:- use_module(library(yall)).
:- use_module(library(time)).

% ship(Name, ArrivalHour, LengthInBollards, CraneHours, Weight, Draught).
ship(aurelia,   0,  9, 24, 3, 11).
ship(bergfalk,  2,  6, 10, 1,  8).
ship(caracara,  3, 11, 36, 4, 13).
ship(dagny,     5,  5,  8, 1,  7).
ship(esperanto, 9,  7, 20, 2,  9).
ship(fulmar,   11,  6, 12, 2,  9).

quay_length(24).          % bollards, numbered from 0
cranes(5).
horizon(48).

% The inner end of the quay has silted up.
deep_water(0, 14, 14).    % from bollard, to bollard, metres
deep_water(14, 24, 10).

%!  plan(-Plan, -Cost)
%
%   Plan is a list of berth(Name, Bollard, Start, Cranes, Finish).

plan(Plan, Cost) :-
    findall(s(N, A, L, H, W, D), ship(N, A, L, H, W, D), Ships),
    maplist(constrain, Ships, Plan, Rectangles, Tasks, Delays),
    disjoint2(Rectangles),
    cranes(Limit),
    cumulative(Tasks, [limit(Limit)]),
    sum(Delays, #=, Cost),
    decision_variables(Plan, Positions, Starts, Crews),
    once(search(Cost, Crews, Starts, Positions)).

constrain(s(Name, Arrival, Length, CraneHours, Weight, Draught),
          berth(Name, Bollard, Start, Cranes, Finish),
          box(Start, Duration, Bollard, Length),
          task(Start, Duration, Finish, Cranes, Name),
          Delay) :-
    quay_length(Quay), horizon(Horizon),
    Bollard in 0..Quay,
    Bollard + Length #=< Quay,
    Start in Arrival..Horizon,
    Cranes in 1..3,
    service_time(CraneHours, Cranes, Duration),
    Finish #= Start + Duration,
    Finish #=< Horizon,
    deep_enough(Draught, Bollard, Length),
    Delay #= Weight * (Start - Arrival).

%!  service_time(+CraneHours, ?Cranes, ?Duration)
%
%   A second crane adds 90 % of the first, a third only 70 %: they get in each
%   other's way. The table is exact, so propagation works in both directions.

service_time(CraneHours, Cranes, Duration) :-
    T1 is CraneHours,
    T2 is ceiling(CraneHours / 1.9),
    T3 is ceiling(CraneHours / 2.6),
    tuples_in([[Cranes, Duration]], [[1, T1], [2, T2], [3, T3]]).

%!  deep_enough(+Draught, ?Bollard, +Length)
%
%   A ship may straddle sections as long as each of them leaves a metre under
%   the keel, so every section that is too shallow is one forbidden overlap.

deep_enough(Draught, Bollard, Length) :-
    findall(From-To,
            ( deep_water(From, To, Depth), Depth < Draught + 1 ),
            Shallow),
    maplist(clear_of(Bollard, Length), Shallow).

clear_of(Bollard, Length, From-To) :-
    Bollard + Length #=< From #\/ Bollard #>= To.

decision_variables(Plan, Positions, Starts, Crews) :-
    maplist([berth(_, B, S, C, _), B, S, C]>>true, Plan, Positions, Starts, Crews).

%!  search(?Cost, +Crews, +Starts, +Positions) is semidet.
%
%   Waiting is cheap in any sensible plan, so try the costs from below: the
%   first plan found is optimal, and every failed cost is a proof that was
%   needed anyway. Crews go first, largest first, because they fix the
%   durations and with them most of the geometry.

search(Cost, Crews, Starts, Positions) :-
    indomain(Cost),
    labeling([down], Crews),
    labeling([ff], Starts),
    labeling([ff], Positions).

print_plan(Plan, Cost) :-
    format("~w~t~14||~w~t~10+~w~t~10+~w~t~8+~w~n",
           [ship, bollards, hours, cranes, waits]),
    forall(member(berth(Name, B, S, C, F), Plan),
           ( ship(Name, Arrival, Length, _, _, _),
             Last is B + Length - 1,
             Waits is S - Arrival,
             format("~w~t~14||~d-~d~t~10+~d-~d~t~10+~d~t~8+~d~n",
                    [Name, B, Last, S, F, C, Waits]) )),
    format("weighted waiting: ~d ship hours~n", [Cost]).

main :-
    catch(call_with_time_limit(120, plan(Plan, Cost)),
          time_limit_exceeded,
          ( format(user_error, "no plan within two minutes~n", []), halt(2) )),
    !,
    print_plan(Plan, Cost),
    halt.
main :-
    format(user_error, "the ships cannot all be served in time~n", []),
    halt(1).
