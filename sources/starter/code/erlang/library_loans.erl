%%% @doc Loans of a lending library in Mnesia: schema, transactions and queries.
%%%
%%% Rules that span several records (a copy is out only once, a reader may hold five
%%% books, the longest-waiting reservation comes first) hold because each operation
%%% is one transaction. Mnesia restarts a transaction that loses a lock, so none of
%%% them has side effects beyond the database.
-module(library_loans).

-include_lib("stdlib/include/qlc.hrl").

-export([create_schema/1, add_copy/2, lend/3, give_back/2, reserve/2, overdue/1, popular/1, audit/0]).

-define(LOAN_DAYS, 28).
-define(LIMIT, 5).

-type isbn() :: binary().
-type reader() :: pos_integer().
-type date() :: calendar:date().

-record(copy, {id :: pos_integer(), isbn :: isbn(), state = in :: in | out | held}).
-record(loan, {copy :: pos_integer(), reader :: reader(), due :: integer()}).
%% The key orders reservations of one title by the time they were made.
-record(reservation, {key :: {isbn(), integer()}, reader :: reader()}).
-record(history, {id :: integer(), isbn :: isbn(), reader :: reader()}).

-spec create_schema([node()]) -> ok.
create_schema(Nodes) ->
    Durable = {disc_copies, Nodes},
    Tables = [{copy, record_info(fields, copy), set, [isbn], Durable},
              {loan, record_info(fields, loan), set, [reader], Durable},
              {reservation, record_info(fields, reservation), ordered_set, [], Durable},
              {history, record_info(fields, history), set, [], {disc_only_copies, Nodes}}],
    [{atomic, ok} = mnesia:create_table(Name, [{attributes, Fields}, {type, Type}, {index, Index}, Storage])
     || {Name, Fields, Type, Index, Storage} <- Tables],
    mnesia:wait_for_tables([copy, loan, reservation, history], 10_000).

-spec add_copy(pos_integer(), isbn()) -> ok.
add_copy(Id, Isbn) ->
    atomically(fun() -> mnesia:write(#copy{id = Id, isbn = Isbn}) end).

-spec lend(pos_integer(), reader(), date()) -> {ok, Due :: date()} | {error, atom()}.
lend(CopyId, Reader, Today) ->
    atomically(
      fun() ->
              %% A write lock from the start: upgrading a read lock invites deadlock.
              Copy = fetch(copy, CopyId, no_such_copy),
              Loans = mnesia:index_read(loan, Reader, #loan.reader),
              Now = days(Today),
              length(Loans) < ?LIMIT orelse mnesia:abort(too_many_loans),
              lists:all(fun(L) -> L#loan.due >= Now end, Loans) orelse mnesia:abort(has_overdue_books),
              case {Copy#copy.state, next_reservation(Copy#copy.isbn)} of
                  {in, _} -> ok;
                  {held, #reservation{key = Key, reader = Reader}} -> mnesia:delete({reservation, Key});
                  {held, _} -> mnesia:abort(held_for_somebody_else);
                  {out, _} -> mnesia:abort(already_lent)
              end,
              Due = Now + ?LOAN_DAYS,
              mnesia:write(Copy#copy{state = out}),
              mnesia:write(#loan{copy = CopyId, reader = Reader, due = Due}),
              {ok, calendar:gregorian_days_to_date(Due)}
      end).

%% @doc Says how many days late the book is, and who should be told that it is in.
-spec give_back(pos_integer(), date()) -> {ok, Late :: non_neg_integer(), none | reader()} | {error, atom()}.
give_back(CopyId, Today) ->
    atomically(
      fun() ->
              #loan{reader = Reader, due = Due} = fetch(loan, CopyId, not_lent),
              [#copy{isbn = Isbn} = Copy] = mnesia:wread({copy, CopyId}),
              {State, Notify} = case next_reservation(Isbn) of
                                    none -> {in, none};
                                    #reservation{reader = Waiting} -> {held, Waiting}
                                end,
              mnesia:delete({loan, CopyId}),
              mnesia:write(Copy#copy{state = State}),
              mnesia:write(#history{id = erlang:unique_integer([monotonic]), isbn = Isbn, reader = Reader}),
              {ok, max(0, days(Today) - Due), Notify}
      end).

-spec reserve(isbn(), reader()) -> ok | {error, atom()}.
reserve(Isbn, Reader) ->
    atomically(
      fun() ->
              Copies = mnesia:index_read(copy, Isbn, #copy.isbn),
              Copies =/= [] orelse mnesia:abort(no_such_title),
              [mnesia:abort(copy_on_the_shelf) || #copy{state = in} <- Copies],
              Waiting = mnesia:match_object(#reservation{key = {Isbn, '_'}, reader = Reader}),
              Waiting =:= [] orelse mnesia:abort(already_reserved),
              mnesia:write(#reservation{key = {Isbn, erlang:system_time(microsecond)}, reader = Reader})
      end).

%% @doc Readers with the titles that they should have brought back, by name of title.
-spec overdue(date()) -> [{reader(), [isbn()]}].
overdue(Today) ->
    Now = days(Today),
    Late = atomically(
             fun() ->
                     qlc:e(qlc:q([{L#loan.reader, C#copy.isbn}
                                  || L <- mnesia:table(loan), L#loan.due < Now,
                                     C <- mnesia:table(copy), C#copy.id =:= L#loan.copy]))
             end),
    maps:to_list(maps:map(fun(_, Isbns) -> lists:sort(Isbns) end,
                          maps:groups_from_list(fun({R, _}) -> R end, fun({_, I}) -> I end, Late))).

%% @doc The most borrowed titles. Reads without locks: a rough answer is enough.
-spec popular(pos_integer()) -> [{Times :: pos_integer(), isbn()}].
popular(N) ->
    Count = fun(#history{isbn = I}, Acc) -> maps:update_with(I, fun(T) -> T + 1 end, 1, Acc) end,
    Counts = mnesia:activity(async_dirty, fun() -> mnesia:foldl(Count, #{}, history) end),
    lists:sublist(lists:reverse(lists:sort([{T, I} || {I, T} <- maps:to_list(Counts)])), N).

%% @doc Copies whose state contradicts the loans. Empty, unless there is a bug.
-spec audit() -> [pos_integer()].
audit() ->
    atomically(
      fun() ->
              mnesia:foldl(fun(#copy{id = Id, state = State}, Acc) ->
                                   Lent = mnesia:read({loan, Id}) =/= [],
                                   if Lent =:= (State =:= out) -> Acc;
                                      true -> [Id | Acc]
                                   end
                           end, [], copy)
      end).

%%% ------------------------------------------------------------- internal ---

atomically(Fun) ->
    case mnesia:transaction(Fun) of
        {atomic, Result} -> Result;
        {aborted, Reason} when is_atom(Reason) -> {error, Reason};
        {aborted, Bug} -> error({transaction_failed, Bug})
    end.

fetch(Table, Key, Otherwise) ->
    case mnesia:wread({Table, Key}) of
        [Record] -> Record;
        [] -> mnesia:abort(Otherwise)
    end.

next_reservation(Isbn) ->
    %% In an ordered_set this is the first key behind {Isbn, 0}.
    case mnesia:next(reservation, {Isbn, 0}) of
        {Isbn, _} = Key -> hd(mnesia:read({reservation, Key}));
        _ -> none
    end.

days(Date) -> calendar:date_to_gregorian_days(Date).
