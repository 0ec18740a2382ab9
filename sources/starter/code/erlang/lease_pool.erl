%%% @doc A pool of expensive resources (database connections, licence seats) that
%%% are leased to processes.
%%%
%%% A lease ends when it is given back, when its holder dies, or when it runs out.
%%% Waiting callers are served in order of arrival; one that gives up or dies is
%%% taken out of the queue, so a lease is never handed to nobody.
-module(lease_pool).
-behaviour(gen_server).

-export([start_link/2, lease/2, return/2, with_lease/3, status/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-type options() :: #{size := pos_integer(),
                     open := fun(() -> term()),
                     close := fun((term()) -> any()),
                     max_lease => pos_integer() | infinity}.
-type lease() :: {reference(), Resource :: term()}.

-record(waiting, {from :: gen_server:from(), monitor :: reference(), deadline :: integer() | infinity}).

-record(state, {idle = [] :: [term()],
                %% Lease reference (also the monitor) => {Resource, Timer}.
                leased = #{} :: #{reference() => {term(), reference() | none}},
                queue = queue:new() :: queue:queue(#waiting{}),
                options :: options()}).

%%% ------------------------------------------------------------------ API ---

-spec start_link(atom(), options()) -> {ok, pid()} | {error, term()}.
start_link(Name, Options) ->
    gen_server:start_link({local, Name}, ?MODULE, Options, []).

-spec lease(gen_server:server_ref(), timeout()) -> {ok, lease()} | {error, timeout}.
lease(Pool, Wait) ->
    %% The server answers in any case; the slack only covers a busy scheduler.
    gen_server:call(Pool, {lease, Wait}, case Wait of infinity -> infinity; _ -> Wait + 5000 end).

-spec return(gen_server:server_ref(), lease()) -> ok.
return(Pool, {Ref, _Resource}) ->
    gen_server:cast(Pool, {return, Ref}).

%% @doc Runs a function with a resource and gives it back whatever happens.
-spec with_lease(gen_server:server_ref(), timeout(), fun((term()) -> A)) -> {ok, A} | {error, timeout}.
with_lease(Pool, Wait, Fun) ->
    case lease(Pool, Wait) of
        {ok, {_, Resource} = Lease} ->
            try {ok, Fun(Resource)}
            after return(Pool, Lease)
            end;
        {error, timeout} = Error ->
            Error
    end.

-spec status(gen_server:server_ref()) -> #{atom() => non_neg_integer()}.
status(Pool) ->
    gen_server:call(Pool, status).

%%% ------------------------------------------------------------ callbacks ---

init(#{size := Size, open := Open} = Options) ->
    process_flag(trap_exit, true),
    {ok, #state{idle = [Open() || _ <- lists:seq(1, Size)], options = Options}}.

handle_call({lease, Wait}, {Pid, _} = From, State) ->
    Monitor = monitor(process, Pid),
    case State#state.idle of
        [Resource | Idle] ->
            {Lease, State1} = grant(Monitor, Resource, State#state{idle = Idle}),
            {reply, {ok, Lease}, State1};
        [] when Wait =:= 0 ->
            demonitor(Monitor, [flush]),
            {reply, {error, timeout}, State};
        [] ->
            is_integer(Wait) andalso erlang:send_after(Wait, self(), {gave_up, Monitor}),
            Entry = #waiting{from = From, monitor = Monitor, deadline = deadline(Wait)},
            {noreply, State#state{queue = queue:in(Entry, State#state.queue)}}
    end;
handle_call(status, _From, #state{idle = Idle, leased = Leased, queue = Queue} = State) ->
    {reply, #{idle => length(Idle), leased => map_size(Leased), waiting => queue:len(Queue)}, State}.

handle_cast({return, Ref}, State) ->
    {noreply, reclaim(Ref, keep, State)}.

handle_info({'DOWN', Ref, process, _Pid, _Reason}, State) ->
    case maps:is_key(Ref, State#state.leased) of
        %% Nobody knows in what condition a dead holder left the resource.
        true -> {noreply, reclaim(Ref, replace, State)};
        false -> {noreply, forget(Ref, State)}
    end;
handle_info({gave_up, Monitor}, State) ->
    [gen_server:reply(From, {error, timeout})
     || #waiting{from = From, monitor = M} <- queue:to_list(State#state.queue), M =:= Monitor],
    {noreply, forget(Monitor, State)};
handle_info({expired, Ref}, State) ->
    logger:warning("lease ~p ran out, replacing the resource", [Ref]),
    {noreply, reclaim(Ref, replace, State)};
handle_info({'EXIT', _Resource, _Reason}, State) ->
    {noreply, State}.

terminate(_Reason, #state{idle = Idle, leased = Leased, options = #{close := Close}}) ->
    [Close(R) || R <- Idle ++ [R || {R, _} <- maps:values(Leased)]],
    ok.

%%% ------------------------------------------------------------- internal ---

grant(Monitor, Resource, #state{leased = Leased, options = Options} = State) ->
    Timer = case maps:get(max_lease, Options, infinity) of
                infinity -> none;
                Limit -> erlang:send_after(Limit, self(), {expired, Monitor})
            end,
    {{Monitor, Resource}, State#state{leased = Leased#{Monitor => {Resource, Timer}}}}.

reclaim(Ref, Fate, #state{leased = Leased, options = #{open := Open, close := Close}} = State) ->
    case maps:take(Ref, Leased) of
        {{Resource, Timer}, Leased1} ->
            demonitor(Ref, [flush]),
            Timer =/= none andalso erlang:cancel_timer(Timer),
            State1 = State#state{leased = Leased1},
            case Fate of
                keep -> serve_next(Resource, State1);
                replace -> Close(Resource), serve_next(Open(), State1)
            end;
        error ->
            State %% returned twice, or after it had run out
    end.

serve_next(Resource, #state{queue = Queue, idle = Idle} = State) ->
    case queue:out(Queue) of
        {empty, _} ->
            State#state{idle = [Resource | Idle]};
        {{value, #waiting{from = From, monitor = Monitor, deadline = Deadline}}, Rest} ->
            case erlang:monotonic_time(millisecond) =< Deadline of
                true ->
                    {Lease, State1} = grant(Monitor, Resource, State#state{queue = Rest}),
                    gen_server:reply(From, {ok, Lease}),
                    State1;
                false ->
                    gen_server:reply(From, {error, timeout}),
                    serve_next(Resource, forget(Monitor, State))
            end
    end.

forget(Monitor, #state{queue = Queue} = State) ->
    demonitor(Monitor, [flush]),
    State#state{queue = queue:filter(fun(#waiting{monitor = M}) -> M =/= Monitor end, Queue)}.

%% Atoms sort after all numbers: infinity is later than any point in time.
deadline(infinity) -> infinity;
deadline(Wait) -> erlang:monotonic_time(millisecond) + Wait.
