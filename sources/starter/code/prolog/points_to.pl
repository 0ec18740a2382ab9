/*  Andersen-style points-to analysis with tabling, and its tests.

    The textbook rules are left recursive and mutually recursive through the
    heap. Under SLD resolution they loop; under tabling they are the fixpoint
    algorithm itself and can be written down as they stand in the paper.

    swipl -g run_tests -t halt points_to.pl
*/

:- module(points_to, [points_to/2, may_alias/2, reachable/2, load_program/1]).

:- use_module(library(plunit)).
:- use_module(library(dcg/basics)).

:- dynamic([ assign_new/2,     % X = new Site
             assign/2,         % X = Y
             load/3,           % X = Y.F
             store/3,          % X.F = Y
             calls/2           % Caller calls Callee
           ], [incremental(true)]).

:- table points_to/2      as incremental.
:- table heap_points_to/3 as incremental.
:- table reachable/2      as incremental.

%!  points_to(?Variable, ?Site)

points_to(X, Site) :-
    assign_new(X, Site).
points_to(X, Site) :-
    assign(X, Y),
    points_to(Y, Site).
points_to(X, Site) :-
    load(X, Y, Field),
    points_to(Y, Base),
    heap_points_to(Base, Field, Site).

%!  heap_points_to(?BaseSite, ?Field, ?Site)

heap_points_to(Base, Field, Site) :-
    store(X, Field, Y),
    points_to(X, Base),
    points_to(Y, Site).

%!  may_alias(?X, ?Y)
%
%   Symmetric; each unordered pair is reported once.

may_alias(X, Y) :-
    setof(X-Y, S^( points_to(X, S), points_to(Y, S), X @< Y ), Pairs),
    member(X-Y, Pairs).

%!  reachable(?From, ?To)  transitive closure of the call graph.

reachable(F, G) :- calls(F, G).
reachable(F, H) :- reachable(F, G), calls(G, H).

%!  load_program(+Text) is det.
%
%   One statement a line: `x = new 12`, `x = y`, `x = y.f`, `x.f = y`,
%   `call f g`. Blank lines and `--` comments are skipped.

load_program(Text) :-
    forget,
    split_string(Text, "\n", " \t", Lines),
    forall(nth1(N, Lines, Line), load_line(N, Line)).

forget :-
    retractall(assign_new(_, _)),
    retractall(assign(_, _)),
    retractall(load(_, _, _)),
    retractall(store(_, _, _)),
    retractall(calls(_, _)).

load_line(_, "") :- !.
load_line(_, Line) :- sub_string(Line, 0, _, _, "--"), !.
load_line(N, Line) :-
    string_codes(Line, Codes),
    (   phrase(statement(Fact), Codes)
    ->  assertz(Fact)
    ;   throw(error(syntax_error(bad_statement), line(N, Line)))
    ).

statement(calls(F, G)) -->
    "call", blank, !, blanks, name(F), blank, blanks, name(G).
statement(store(X, F, Y)) -->
    name(X), ".", !, name(F), equals, name(Y).
statement(Fact) -->
    name(X), equals, right_side(X, Fact).

right_side(X, assign_new(X, Site)) --> "new", blank, !, blanks, integer(Site).
right_side(X, Fact) -->
    name(Y),
    (   "." -> name(F), { Fact = load(X, Y, F) }
    ;   { Fact = assign(X, Y) }
    ).

equals --> blanks, "=", blanks.

name(Name) --> csym(C), csyms(Cs), { atom_codes(Name, [C|Cs]) }.
csyms([C|Cs]) --> csym(C), !, csyms(Cs).
csyms([])     --> [].
csym(C)       --> [C], { code_type(C, csym) }.

% ------------------------------------------------------------------ tests

:- begin_tests(points_to).

sites(Variable, Sites) :-
    findall(S, points_to(Variable, S), Unsorted),
    sort(Unsorted, Sites).

test(copy_cycle_terminates, Sites == [1, 2]) :-
    load_program("a = new 1\nb = new 2\na = b\nb = c\nc = a"),
    sites(c, Sites).

test(field_of_aliased_base, Sites == [7]) :-
    load_program("p = new 1\nq = p\nv = new 7\np.next = v\nw = q.next"),
    sites(w, Sites).

test(fields_are_kept_apart, fail) :-
    load_program("p = new 1\nv = new 7\np.left = v\nw = p.right"),
    points_to(w, _).

test(list_built_in_a_loop, Sites == [3]) :-
    % head = new Node(head): one site that points to itself.
    load_program("n = new 3\nn.next = head\nhead = n\nt = head.next"),
    sites(t, Sites).

test(edit_invalidates_tables, [Before, After] == [[1], [1, 9]]) :-
    load_program("a = new 1\nb = a"),
    sites(b, Before),
    assertz(points_to:assign_new(a, 9)),
    sites(b, After).

test(alias_once, all(X-Y == [p-q])) :-
    load_program("-- two names, one object\np = new 1\nq = p\nr = new 2"),
    may_alias(X, Y).

test(mutual_recursion, all(G == [even, odd])) :-
    load_program("call even odd\ncall odd even"),
    reachable(even, G).

test(error_names_the_line, error(syntax_error(bad_statement))) :-
    load_program("a = new 1\na == b").

:- end_tests(points_to).
