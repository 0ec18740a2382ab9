:- module(stoichiometry,
          [ balance/2,            % +Text, -Balanced
            formula//1,           % ?Atoms
            molar_mass/2          % +Formula, -GramsPerMole
          ]).

/** <module> Balancing chemical equations

A grammar reads formulas such as `Ca(H2PO4)2` and `CuSO4.5H2O`; the
coefficients are integer unknowns and conservation of every element is one
linear equation. The smallest positive solution is the balanced reaction.

    ?- balance("C3H8 + O2 -> CO2 + H2O", B).
    B = "C3H8 + 5 O2 -> 3 CO2 + 4 H2O".
*/

:- use_module(library(clpfd)).
:- use_module(library(dcg/basics)).
:- use_module(library(dcg/high_order)).
:- use_module(library(pairs)).

%!  equation(-Left, -Right)//
%
%   Each side is a list of species(Text, Atoms), Atoms being Element-Count
%   pairs with every element once.

equation(Left, Right) -->
    blanks, side(Left), arrow, side(Right), blanks, eos.

arrow --> blanks, ( "->" ; "=" ), !, blanks.

side(Species) -->
    sequence(species, (blanks, "+", blanks), Species).

species(species(Text, Atoms)) -->
    captured(formula(Atoms), Text).

%!  captured(:Body, -Text)//
%
%   Run Body and also return the text it consumed.

captured(Body, Text) -->
    here(Before), Body, here(After),
    { append(Codes, After, Before), !, string_codes(Text, Codes) }.

here(Codes, Codes, Codes).

%!  formula(-Atoms)//

formula(Atoms) -->
    groups(First, Rest),
    hydrate(Rest),
    { tally(First, Atoms) }.

% Water of crystallisation follows a dot and has its own multiplier.
hydrate(Water) -->
    ".", !, multiplier(N), groups(Raw, []),
    { scale(N, Raw, Water) }.
hydrate([]) --> [].

groups(All, Tail) -->
    group(G), !, more_groups(G, All, Tail).

more_groups(G, All, Tail) -->
    { append(G, Rest, All) },
    (   groups(Rest, Tail) -> [] ; { Rest = Tail } ).

group(Atoms) -->
    "(", !, groups(Inner, []), ")", multiplier(N),
    { scale(N, Inner, Atoms) }.
group([Element-N]) -->
    symbol(Element), multiplier(N).

symbol(Element) -->
    [U], { code_type(U, upper) },
    (   [L], { code_type(L, lower) }
    ->  { atom_codes(Element, [U, L]) }
    ;   { atom_codes(Element, [U]) }
    ).

multiplier(N) --> digits([D|Ds]), !, { number_codes(N, [D|Ds]) }.
multiplier(1) --> [].

scale(N, Atoms, Scaled) :-
    findall(E-M, ( member(E-C, Atoms), M is N*C ), Scaled).

tally(Raw, Atoms) :-
    keysort(Raw, Sorted),
    group_pairs_by_key(Sorted, Grouped),
    findall(E-Sum, ( member(E-Cs, Grouped), sum_list(Cs, Sum) ), Atoms).

%!  balance(+Text, -Balanced) is semidet.
%
%   Fails if no assignment of positive coefficients conserves all elements;
%   throws a syntax error if Text is not an equation.

balance(Text, Balanced) :-
    string_codes(Text, Codes),
    (   phrase(equation(Left, Right), Codes)
    ->  true
    ;   syntax_error(chemical_equation)
    ),
    length(Left, NL), length(Right, NR),
    length(Ls, NL),   length(Rs, NR),
    append(Ls, Rs, Vars),
    Vars ins 1..2000,
    elements_of(Left, Right, Elements),
    maplist(conserved(Left, Ls, Right, Rs), Elements),
    sum(Vars, #=, Total),
    once(labeling([min(Total)], Vars)),
    side_text(Left, Ls, LeftText),
    side_text(Right, Rs, RightText),
    format(string(Balanced), "~s -> ~s", [LeftText, RightText]).

elements_of(Left, Right, Elements) :-
    append(Left, Right, All),
    findall(E, ( member(species(_, Atoms), All), member(E-_, Atoms) ), Es),
    sort(Es, Elements).

conserved(Left, Ls, Right, Rs, Element) :-
    maplist(count_of(Element), Left, Cl),
    maplist(count_of(Element), Right, Cr),
    scalar_product(Cl, Ls, #=, Amount),
    scalar_product(Cr, Rs, #=, Amount).

count_of(Element, species(_, Atoms), N) :-
    (   memberchk(Element-C, Atoms) -> N = C ; N = 0 ).

side_text(Species, Coefficients, Codes) :-
    maplist(term_text, Species, Coefficients, Terms),
    atomic_list_concat(Terms, ' + ', Atom),
    atom_codes(Atom, Codes).

term_text(species(Text, _), 1, Text) :- !.
term_text(species(Text, _), N, Out) :-
    format(string(Out), "~d ~s", [N, Text]).

%!  molar_mass(+Formula, -GramsPerMole) is det.

molar_mass(Formula, Mass) :-
    string_codes(Formula, Codes),
    phrase(formula(Atoms), Codes),
    foldl([E-N, M0, M]>>( mass(E, A), M is M0 + N*A ), Atoms, 0, Mass).

mass('H', 1.008).   mass('C', 12.011).  mass('N', 14.007).  mass('O', 15.999).
mass('P', 30.974).  mass('S', 32.06).   mass('K', 39.098).  mass('Ca', 40.078).
mass('Cr', 51.996). mass('Mn', 54.938). mass('Fe', 55.845). mass('Cu', 63.546).
