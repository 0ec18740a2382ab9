defmodule CircuitBreaker do
  @moduledoc """
  A circuit breaker as a state machine on top of `:gen_statem`.

      closed ──(too many failures)──▶ open ──(cool-down)──▶ half_open
        ▲                              ▲                        │
        │                              └──────(probe fails)─────┤
        └──────────────────────(probe succeeds)─────────────────┘

  The protected function runs in the process of the caller. The machine only hands
  out permission and is told the outcome, so a slow call blocks nobody else.
  """

  @behaviour :gen_statem

  @type opts :: [
          name: GenServer.name(),
          max_failures: pos_integer,
          window: timeout,
          cool_down: timeout,
          failure?: (term -> boolean)
        ]

  defmodule Data do
    @moduledoc false
    @enforce_keys [:max_failures, :window, :cool_down, :failure?]
    defstruct @enforce_keys ++ [failures: [], probe: nil, trips: 0]
  end

  # --- API -------------------------------------------------------------------

  def child_spec(opts) do
    %{id: opts[:name] || __MODULE__, start: {__MODULE__, :start_link, [opts]}}
  end

  @spec start_link(opts) :: :gen_statem.start_ret()
  def start_link(opts) do
    {name, opts} = Keyword.pop(opts, :name, __MODULE__)
    :gen_statem.start_link({:local, name}, __MODULE__, opts, [])
  end

  @doc """
  Runs `fun` if the circuit lets it through.

  Raises and exits count as failures and go on to the caller unchanged. A return
  value counts as a failure when the `:failure?` option says so.
  """
  @spec call(GenServer.server(), (-> result)) :: {:ok, result} | {:error, :open} when result: var
  def call(breaker, fun) do
    with {:ok, ticket} <- :gen_statem.call(breaker, :ask) do
      try do
        fun.()
      else
        result ->
          :gen_statem.cast(breaker, {:result, ticket, result})
          {:ok, result}
      catch
        kind, reason ->
          :gen_statem.cast(breaker, {:crash, ticket})
          :erlang.raise(kind, reason, __STACKTRACE__)
      end
    end
  end

  @spec status(GenServer.server()) :: %{state: atom, failures: non_neg_integer, trips: non_neg_integer}
  def status(breaker), do: :gen_statem.call(breaker, :status)

  # --- Callbacks -------------------------------------------------------------

  @impl true
  def callback_mode, do: [:state_functions, :state_enter]

  @impl true
  def init(opts) do
    data = %Data{
      max_failures: Keyword.get(opts, :max_failures, 5),
      window: Keyword.get(opts, :window, 10_000),
      cool_down: Keyword.get(opts, :cool_down, 30_000),
      failure?: Keyword.get(opts, :failure?, &match?({:error, _}, &1))
    }

    {:ok, :closed, data}
  end

  @doc false
  def closed(:enter, _from, data), do: {:keep_state, %Data{data | failures: [], probe: nil}}
  def closed({:call, from}, :ask, _data), do: {:keep_state_and_data, {:reply, from, {:ok, :normal}}}

  def closed(:cast, outcome, data) do
    if failed?(outcome, data), do: record_failure(data), else: :keep_state_and_data
  end

  def closed(type, event, data), do: common(:closed, type, event, data)

  @doc false
  def open(:enter, _from, data) do
    # A state timeout is cancelled by leaving the state: no timer to keep track of.
    {:keep_state, %Data{data | trips: data.trips + 1}, {:state_timeout, data.cool_down, :probe}}
  end

  def open(:state_timeout, :probe, data), do: {:next_state, :half_open, data}
  def open({:call, from}, :ask, _data), do: {:keep_state_and_data, {:reply, from, {:error, :open}}}
  # Results of calls that were let through before the circuit opened.
  def open(:cast, _late, _data), do: :keep_state_and_data
  def open(type, event, data), do: common(:open, type, event, data)

  @doc false
  def half_open(:enter, _from, data), do: {:keep_state, %Data{data | probe: nil}}

  def half_open({:call, {pid, _} = from}, :ask, %Data{probe: nil} = data) do
    # One caller at a time may try. If it dies silently, the next one may.
    probe = Process.monitor(pid)
    {:keep_state, %Data{data | probe: probe}, {:reply, from, {:ok, probe}}}
  end

  def half_open({:call, from}, :ask, _data), do: {:keep_state_and_data, {:reply, from, {:error, :open}}}

  def half_open(:cast, outcome, %Data{probe: probe} = data) when elem(outcome, 1) == probe do
    Process.demonitor(probe, [:flush])
    {:next_state, if(failed?(outcome, data), do: :open, else: :closed), data}
  end

  def half_open(:cast, _late, _data), do: :keep_state_and_data

  def half_open(:info, {:DOWN, probe, :process, _, _}, %Data{probe: probe} = data) do
    {:keep_state, %Data{data | probe: nil}}
  end

  def half_open(type, event, data), do: common(:half_open, type, event, data)

  defp common(state, {:call, from}, :status, data) do
    {:keep_state_and_data, {:reply, from, %{state: state, failures: length(data.failures), trips: data.trips}}}
  end

  defp common(_state, :info, _message, _data), do: :keep_state_and_data

  # --- Failures --------------------------------------------------------------

  defp failed?({:crash, _}, _data), do: true
  defp failed?({:result, _, result}, data), do: data.failure?.(result)

  # Only failures inside the sliding window count.
  defp record_failure(data) do
    now = System.monotonic_time(:millisecond)
    failures = [now | Enum.take_while(data.failures, &(now - &1 < data.window))]
    data = %Data{data | failures: failures}
    if length(failures) >= data.max_failures, do: {:next_state, :open, data}, else: {:keep_state, data}
  end
end
