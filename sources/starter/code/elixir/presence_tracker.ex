defmodule Lobby.PresenceTracker do
  @moduledoc """
  Tracks who is online in which room.

  A user counts as present while at least one of their processes (a browser tab,
  a phone) is alive. Leaving is debounced: a page reload drops the last process
  for a moment, and nobody wants to read "left" and "joined" for that.

  Reads go straight to an ETS table and never queue behind the server.
  """

  use GenServer

  @type room :: String.t()
  @type user :: String.t()
  @type event :: {:joined, room, user, map} | {:left, room, user}

  @default_grace :timer.seconds(5)

  defmodule State do
    @moduledoc false
    defstruct table: nil,
              grace: 0,
              # monitor reference => {room, user, pid}
              monitors: %{},
              # {room, user} => timer of a pending departure
              leaving: %{},
              # room => pids to be told
              listeners: %{}
  end

  # --- Client ----------------------------------------------------------------

  def start_link(opts) do
    name = Keyword.get(opts, :name, __MODULE__)
    GenServer.start_link(__MODULE__, Keyword.put(opts, :name, name), name: name)
  end

  @doc "Ties the calling process to `user` in `room` until it ends."
  @spec join(room, user, map, GenServer.server()) :: :ok
  def join(room, user, meta \\ %{}, server \\ __MODULE__) do
    GenServer.call(server, {:join, room, user, meta, self()})
  end

  @doc "Sends `t:event/0` messages about the room to the caller."
  @spec subscribe(room, GenServer.server()) :: :ok
  def subscribe(room, server \\ __MODULE__), do: GenServer.call(server, {:subscribe, room, self()})

  @doc "Everybody in the room, with what they said about themselves on joining."
  @spec list(room, atom) :: [{user, map}]
  def list(room, table \\ __MODULE__) do
    # Keys sort by room, so this match scans one room and not the whole table.
    table
    |> :ets.match({{room, :"$1"}, :"$2", :_})
    |> Enum.map(fn [user, meta] -> {user, meta} end)
  end

  @spec online?(room, user, atom) :: boolean
  def online?(room, user, table \\ __MODULE__), do: :ets.member(table, {room, user})

  # --- Server ----------------------------------------------------------------

  @impl true
  def init(opts) do
    table = :ets.new(opts[:name], [:named_table, :ordered_set, :protected, read_concurrency: true])
    {:ok, %State{table: table, grace: Keyword.get(opts, :grace, @default_grace)}}
  end

  @impl true
  def handle_call({:join, room, user, meta, pid}, _from, state) do
    key = {room, user}
    ref = Process.monitor(pid)
    state = put_in(state.monitors[ref], {room, user, pid})

    state =
      case :ets.lookup(state.table, key) do
        [] ->
          :ets.insert(state.table, {key, meta, 1})
          notify(state, room, {:joined, room, user, meta})

        [{^key, old_meta, connections}] ->
          :ets.insert(state.table, {key, Map.merge(old_meta, meta), connections + 1})
          cancel_departure(state, key)
      end

    {:reply, :ok, state}
  end

  def handle_call({:subscribe, room, pid}, _from, state) do
    Process.monitor(pid)
    listeners = Map.update(state.listeners, room, MapSet.new([pid]), &MapSet.put(&1, pid))
    {:reply, :ok, %State{state | listeners: listeners}}
  end

  @impl true
  def handle_info({:DOWN, ref, :process, pid, _reason}, state) do
    case Map.pop(state.monitors, ref) do
      {nil, _} ->
        {:noreply, drop_listener(state, pid)}

      {{room, user, ^pid}, monitors} ->
        {:noreply, disconnect(%State{state | monitors: monitors}, {room, user})}
    end
  end

  def handle_info({:departed, {room, user} = key}, state) do
    {timer, leaving} = Map.pop(state.leaving, key)
    state = %State{state | leaving: leaving}

    # The timer may have fired just before it was cancelled: the message is then
    # already in the mailbox, and the entry is gone from the map.
    if timer do
      :ets.delete(state.table, key)
      {:noreply, notify(state, room, {:left, room, user})}
    else
      {:noreply, state}
    end
  end

  defp disconnect(state, key) do
    case :ets.update_counter(state.table, key, {3, -1}) do
      0 ->
        timer = Process.send_after(self(), {:departed, key}, state.grace)
        put_in(state.leaving[key], timer)

      _still_connected ->
        state
    end
  end

  defp cancel_departure(state, key) do
    {timer, leaving} = Map.pop(state.leaving, key)
    if timer, do: Process.cancel_timer(timer)
    %State{state | leaving: leaving}
  end

  defp notify(state, room, event) do
    state.listeners |> Map.get(room, []) |> Enum.each(&send(&1, event))
    state
  end

  defp drop_listener(state, pid) do
    listeners = Map.new(state.listeners, fn {room, pids} -> {room, MapSet.delete(pids, pid)} end)
    %State{state | listeners: listeners}
  end
end
