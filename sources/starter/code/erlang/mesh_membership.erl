%%% @doc Membership of a mesh by gossip, in plain processes and messages.
%%%
%%% Every member keeps a heartbeat counter per peer. Once a round it bumps its own
%%% counter and sends its whole view to a few random peers, who keep the greater
%%% counter of each. A member whose counter stands still is first suspected and
%%% then dropped. Nothing is ordered, nothing is acknowledged, messages may be lost.
%%%
%%% `mesh_membership:demo()' runs thirty members, kills some, and prints how long
%%% the others need to notice.
-module(mesh_membership).

-export([start/2, members/1, stop/1, demo/0]).
-export([init/2]).

-define(ROUND, 20).          % milliseconds between two rounds
-define(FANOUT, 3).          % peers told in each round
-define(SUSPECT_AFTER, 8).   % rounds without progress
-define(FORGET_AFTER, 20).   % rounds after which a member is dropped for good

-record(peer, {heartbeat = 0 :: non_neg_integer(),
               seen = 0 :: non_neg_integer()}).   % our round when it last rose

-record(view, {round = 0 :: non_neg_integer(),
               heartbeat = 0 :: non_neg_integer(),
               loss = 0.0 :: float(),             % share of messages that get lost
               peers = #{} :: #{pid() => #peer{}}}).

%%% ------------------------------------------------------------------ API ---

%% @doc Starts a member that knows the given seeds; they need not be alive.
-spec start([pid()], float()) -> pid().
start(Seeds, Loss) ->
    spawn(?MODULE, init, [Seeds, Loss]).

-spec members(pid()) -> {ok, #{alive | suspect => [pid()]}} | {error, down | timeout}.
members(Pid) ->
    Ref = monitor(process, Pid),
    Pid ! {members, self(), Ref},
    receive
        {Ref, Answer} ->
            demonitor(Ref, [flush]),
            {ok, Answer};
        {'DOWN', Ref, process, Pid, _} ->
            {error, down}
    after 1000 ->
            demonitor(Ref, [flush]),
            {error, timeout}
    end.

-spec stop(pid()) -> ok.
stop(Pid) ->
    exit(Pid, kill),
    ok.

%%% --------------------------------------------------------------- member ---

init(Seeds, Loss) ->
    schedule(),
    loop(#view{loss = Loss, peers = maps:from_keys(Seeds, #peer{})}).

loop(#view{peers = Peers} = View) ->
    receive
        round ->
            schedule(),
            loop(gossip(expire(View#view{round = View#view.round + 1,
                                         heartbeat = View#view.heartbeat + 1})));
        {gossip, Heartbeats} ->
            loop(View#view{peers = merge(Heartbeats, View)});
        {members, From, Ref} ->
            {Alive, Suspect} = lists:partition(fun(Pid) -> age(Pid, View) < ?SUSPECT_AFTER end, maps:keys(Peers)),
            From ! {Ref, #{alive => [self() | Alive], suspect => Suspect}},
            loop(View);
        Other ->
            %% An unread message would stay in the mailbox and slow every receive.
            logger:notice("~p ignores ~p", [self(), Other]),
            loop(View)
    end.

schedule() ->
    %% Jitter keeps the members from falling into step.
    erlang:send_after(?ROUND + rand:uniform(?ROUND div 4), self(), round).

gossip(#view{peers = Peers, heartbeat = Own, loss = Loss} = View) ->
    Fresh = maps:filter(fun(Pid, _) -> age(Pid, View) < ?SUSPECT_AFTER end, Peers),
    Message = {gossip, (maps:map(fun(_, P) -> P#peer.heartbeat end, Fresh))#{self() => Own}},
    %% Suspects are still written to: that is how they learn that they are alive.
    [Pid ! Message || Pid <- pick(?FANOUT, maps:keys(Peers)), rand:uniform() >= Loss],
    View.

merge(Heartbeats, #view{round = Round, peers = Peers}) ->
    maps:fold(
      fun(Pid, _, Acc) when Pid =:= self() ->
              Acc;
         (Pid, Heartbeat, Acc) ->
              case Acc of
                  #{Pid := #peer{heartbeat = Known}} when Known >= Heartbeat -> Acc;
                  _ -> Acc#{Pid => #peer{heartbeat = Heartbeat, seen = Round}}
              end
      end, Peers, Heartbeats).

expire(#view{peers = Peers} = View) ->
    View#view{peers = maps:filter(fun(Pid, _) -> age(Pid, View) < ?FORGET_AFTER end, Peers)}.

age(Pid, #view{round = Round, peers = Peers}) ->
    Round - (maps:get(Pid, Peers))#peer.seen.

pick(N, Pids) ->
    Shuffled = lists:sort([{rand:uniform(), P} || P <- Pids]),
    [P || {_, P} <- lists:sublist(Shuffled, N)].

%%% ----------------------------------------------------------------- demo ---

demo() ->
    Seed = start([], 0.2),
    Mesh = [Seed | [start([Seed], 0.2) || _ <- lists:seq(2, 30)]],
    report("everybody knows everybody", Mesh, length(Mesh)),
    {Victims, Rest} = lists:split(7, pick(length(Mesh), Mesh)),
    lists:foreach(fun stop/1, Victims),
    report("the dead are noticed", Rest, length(Rest)),
    Late = start([hd(Rest)], 0.2),
    report("a newcomer is known", [Late | Rest], length(Rest) + 1),
    lists:foreach(fun stop/1, [Late | Rest]).

report(What, Mesh, Expected) ->
    Agreed = fun() ->
                     lists:all(fun(Pid) ->
                                       {ok, #{alive := Alive}} = members(Pid),
                                       length(Alive) =:= Expected
                               end, Mesh)
             end,
    Started = erlang:monotonic_time(millisecond),
    ok = wait_until(Agreed, 500),
    io:format("~-28s ~5b ms~n", [What, erlang:monotonic_time(millisecond) - Started]).

wait_until(_Test, 0) -> {error, never};
wait_until(Test, Tries) ->
    case Test() of
        true -> ok;
        false -> timer:sleep(10), wait_until(Test, Tries - 1)
    end.
