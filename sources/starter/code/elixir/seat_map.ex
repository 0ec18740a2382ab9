defmodule SeatMap do
  @moduledoc """
  The set of taken seats in a hall, as one integer bitmap per row.

  The struct behaves like a collection: it implements `Enumerable`, `Collectable`
  and `Inspect`, so that the functions of `Enum` and `for ... into:` work on it.

      iex> hall = SeatMap.new(rows: 2, seats: 6)
      iex> hall = for seat <- [{1, 1}, {1, 2}, {2, 6}], into: hall, do: seat
      iex> Enum.count(hall)
      3
      iex> {1, 2} in hall
      true
      iex> hall
      #SeatMap<"##.... / .....#">
      iex> SeatMap.best_block(hall, 3)
      {:ok, [{2, 3}, {2, 4}, {2, 5}]}
  """

  import Bitwise

  @enforce_keys [:rows, :seats]
  defstruct [:rows, :seats, taken: %{}]

  @type seat :: {row :: pos_integer, number :: pos_integer}
  @type t :: %__MODULE__{rows: pos_integer, seats: pos_integer, taken: %{pos_integer => non_neg_integer}}

  @spec new(rows: pos_integer, seats: pos_integer) :: t
  def new(opts), do: struct!(__MODULE__, opts)

  @spec take(t, seat) :: {:ok, t} | {:error, :taken | :no_such_seat}
  def take(%__MODULE__{} = map, {row, number} = seat) do
    cond do
      not exists?(map, seat) -> {:error, :no_such_seat}
      taken?(map, seat) -> {:error, :taken}
      true -> {:ok, put_in(map.taken[row], bits(map, row) ||| bit(number))}
    end
  end

  @spec free(t, seat) :: t
  def free(%__MODULE__{} = map, {row, number}) do
    put_in(map.taken[row], band(bits(map, row), bnot(bit(number))))
  end

  @spec taken?(t, seat) :: boolean
  def taken?(map, {row, number}), do: (bits(map, row) &&& bit(number)) != 0

  @doc """
  The best free block of `size` neighbouring seats in one row.

  Middle seats are better than the sides, and rows near two thirds of the way back
  are better than the front. A block that would leave a single seat alone between
  it and its neighbour is chosen only when nothing else is left.
  """
  @spec best_block(t, pos_integer) :: {:ok, [seat]} | :none
  def best_block(%__MODULE__{} = map, size) do
    candidates =
      for row <- 1..map.rows,
          first <- 1..(map.seats - size + 1)//1,
          free_block?(map, row, first, size),
          do: {penalty(map, row, first, size), row, first}

    case Enum.min(candidates, fn -> nil end) do
      nil -> :none
      {_penalty, row, first} -> {:ok, for(n <- first..(first + size - 1), do: {row, n})}
    end
  end

  @doc "How many seats are taken, counted bit by bit without listing them."
  @spec size(t) :: non_neg_integer
  def size(map), do: map.taken |> Map.values() |> Enum.map(&popcount/1) |> Enum.sum()

  defp popcount(0), do: 0
  defp popcount(n), do: 1 + popcount(n &&& n - 1)

  defp free_block?(map, row, first, size) do
    mask = (1 <<< size) - 1
    (bits(map, row) >>> (first - 1) &&& mask) == 0
  end

  defp penalty(map, row, first, size) do
    off_centre = abs(2 * first + size - 1 - (map.seats + 1))
    off_row = abs(3 * row - 2 * map.rows)
    off_centre + 2 * off_row + 100 * orphans(map, row, first, size)
  end

  defp orphans(map, row, first, size) do
    Enum.count([{first - 1, first - 2}, {first + size, first + size + 1}], fn {next, beyond} ->
      free?(map, {row, next}) and not free?(map, {row, beyond})
    end)
  end

  defp free?(map, seat), do: exists?(map, seat) and not taken?(map, seat)
  defp exists?(map, {row, number}), do: row in 1..map.rows and number in 1..map.seats

  @doc false
  def bits(map, row), do: Map.get(map.taken, row, 0)

  defp bit(number), do: 1 <<< (number - 1)

  defimpl Enumerable do
    def count(map), do: {:ok, SeatMap.size(map)}

    def member?(map, {row, number}) when is_integer(row) and is_integer(number) and number > 0,
      do: {:ok, SeatMap.taken?(map, {row, number})}

    def member?(_map, _other), do: {:ok, false}

    # No random access: let Enum fall back on reduce/3.
    def slice(_map), do: {:error, __MODULE__}

    def reduce(map, acc, fun) do
      seats = for row <- 1..map.rows, n <- 1..map.seats, SeatMap.taken?(map, {row, n}), do: {row, n}
      Enumerable.List.reduce(seats, acc, fun)
    end
  end

  defimpl Collectable do
    def into(map) do
      collector = fn
        acc, {:cont, seat} ->
          case SeatMap.take(acc, seat) do
            {:ok, acc} -> acc
            {:error, reason} -> raise ArgumentError, "seat #{inspect(seat)}: #{reason}"
          end

        acc, :done ->
          acc

        _acc, :halt ->
          :ok
      end

      {map, collector}
    end
  end

  defimpl Inspect do
    import Inspect.Algebra

    def inspect(map, opts) do
      picture =
        Enum.map_join(1..map.rows, " / ", fn row ->
          Enum.map_join(1..map.seats, &if(SeatMap.taken?(map, {row, &1}), do: "#", else: "."))
        end)

      concat(["#SeatMap<", to_doc(picture, opts), ">"])
    end
  end
end
