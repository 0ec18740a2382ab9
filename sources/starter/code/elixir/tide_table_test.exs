ExUnit.start(colors: [enabled: false], max_cases: 1)

defmodule TideTable do
  @moduledoc """
  Answers "when can a boat of this draught cross the bar?" from a list of high and
  low waters. Between two extremes the height follows half a cosine.
  """

  defstruct extremes: []

  @type t :: %__MODULE__{extremes: [{NaiveDateTime.t(), metres :: float}]}

  @spec new([{NaiveDateTime.t(), number}]) :: {:ok, t} | {:error, :too_few | :not_alternating}
  def new(extremes) do
    sorted = Enum.sort_by(extremes, &elem(&1, 0), NaiveDateTime)

    cond do
      length(sorted) < 2 -> {:error, :too_few}
      not alternating?(Enum.map(sorted, &elem(&1, 1))) -> {:error, :not_alternating}
      true -> {:ok, %__MODULE__{extremes: sorted}}
    end
  end

  @spec height(t, NaiveDateTime.t()) :: {:ok, float} | {:error, :outside}
  def height(%__MODULE__{extremes: extremes}, time) do
    extremes
    |> Enum.chunk_every(2, 1, :discard)
    |> Enum.find_value({:error, :outside}, fn [{t1, h1}, {t2, h2}] ->
      span = NaiveDateTime.diff(t2, t1)
      passed = NaiveDateTime.diff(time, t1)

      if passed in 0..span do
        {:ok, (h1 + h2) / 2 + (h1 - h2) / 2 * :math.cos(:math.pi() * passed / span)}
      end
    end)
  end

  @doc "Spans of time with at least `depth` metres, to the minute."
  @spec windows(t, number) :: [{NaiveDateTime.t(), NaiveDateTime.t()}]
  def windows(%__MODULE__{extremes: extremes} = table, depth) do
    {first, _} = hd(extremes)
    {last, _} = List.last(extremes)

    first
    |> Stream.iterate(&NaiveDateTime.add(&1, 60))
    |> Enum.take_while(&(NaiveDateTime.compare(&1, last) != :gt))
    |> Enum.chunk_by(fn time -> elem(height(table, time), 1) >= depth end)
    |> Enum.filter(fn [time | _] -> elem(height(table, time), 1) >= depth end)
    |> Enum.map(&{hd(&1), List.last(&1)})
  end

  defp alternating?([a, b, c | rest]), do: (b - a) * (c - b) < 0 and alternating?([b, c | rest])
  defp alternating?([a, b]), do: a != b
end

defmodule TideTableTest do
  use ExUnit.Case, async: true

  @low ~N[2031-05-14 00:00:00]

  # A tide that is easy to check by hand: six hours up, six hours down, 1 m to 5 m.
  setup do
    extremes = [{@low, 1.0}, {hours(6), 5.0}, {hours(12), 1.0}, {hours(18), 5.0}]
    {:ok, table} = TideTable.new(extremes)
    %{table: table, extremes: extremes}
  end

  describe "new/1" do
    test "accepts extremes in any order", %{extremes: extremes, table: table} do
      assert TideTable.new(Enum.reverse(extremes)) == {:ok, table}
    end

    for {name, heights} <- [rising: [1.0, 3.0, 5.0], level: [2.0, 2.0], stuck: [1.0, 5.0, 5.0]] do
      test "refuses #{name} waters" do
        extremes = Enum.with_index(unquote(heights), fn h, i -> {hours(6 * i), h} end)
        assert TideTable.new(extremes) == {:error, :not_alternating}
      end
    end

    test "needs at least one high and one low water" do
      assert {:error, :too_few} = TideTable.new([{@low, 1.0}])
      assert {:error, :too_few} = TideTable.new([])
    end
  end

  describe "height/2" do
    test "hits the extremes exactly", %{table: table, extremes: extremes} do
      for {time, expected} <- extremes do
        assert {:ok, height} = TideTable.height(table, time)
        assert_in_delta height, expected, 1.0e-9
      end
    end

    test "is half-way at mid-tide and follows the rule of twelfths", %{table: table} do
      assert_height(table, hours(3), 3.0)
      # After one hour about a twelfth of the range of four metres has come in.
      assert_height(table, hours(1), 1.0 + 4 / 12, 0.1)
      assert_height(table, hours(2), 1.0 + 3 * 4 / 12, 0.1)
    end

    test "knows nothing beyond the table", %{table: table} do
      assert TideTable.height(table, hours(-1)) == {:error, :outside}
      assert TideTable.height(table, hours(19)) == {:error, :outside}
    end

    test "never leaves the range of the extremes", %{table: table} do
      :rand.seed(:exsss, {1, 2, 3})

      for _ <- 1..500 do
        {:ok, height} = TideTable.height(table, NaiveDateTime.add(@low, :rand.uniform(18 * 3600)))
        assert height >= 1.0 - 1.0e-9 and height <= 5.0 + 1.0e-9
      end
    end
  end

  describe "windows/2" do
    test "opens around each high water", %{table: table} do
      assert [{from, to}, {again, until}] = TideTable.windows(table, 3.0)
      assert_in_delta minutes(from), 180, 1
      assert_in_delta minutes(to), 540, 1
      assert_in_delta minutes(again), 900, 1
      assert until == hours(18), "the last window ends with the table"
    end

    test "is one window when it is always deep enough", %{table: table} do
      assert TideTable.windows(table, 0.5) == [{@low, hours(18)}]
    end

    test "is empty when it never is", %{table: table} do
      assert TideTable.windows(table, 5.5) == []
    end
  end

  defp hours(n), do: NaiveDateTime.add(@low, n * 3600)
  defp minutes(time), do: NaiveDateTime.diff(time, @low) / 60

  defp assert_height(table, time, expected, delta \\ 1.0e-9) do
    assert {:ok, height} = TideTable.height(table, time)
    assert_in_delta height, expected, delta
  end
end
