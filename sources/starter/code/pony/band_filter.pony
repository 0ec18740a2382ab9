"""
Median filter for a grey-scale picture, one worker actor for each band of rows.

The picture is `val`, so all workers read the same memory. Each worker builds its
band in isolation and gives it away: after `consume` the compiler knows that the
worker cannot touch the pixels any more, and no copy is made on the way to the
assembler.

    band_filter WIDTH < input.raw > output.raw
"""
use "collections"

class val Picture
  let width: USize
  let pixels: Array[U8] val

  new val create(width': USize, pixels': Array[U8] val) =>
    width = width'
    pixels = pixels'

  fun height(): USize => pixels.size() / width

  fun at(x: ISize, y: ISize): U8 =>
    """
    Clamps to the edge, so that the border needs no special case.
    """
    let cx = x.max(0).min(width.isize() - 1).usize()
    let cy = y.max(0).min(height().isize() - 1).usize()
    try pixels((cy * width) + cx)? else 0 end

interface val Kernel
  fun apply(picture: Picture, x: ISize, y: ISize): U8

primitive Median is Kernel
  fun apply(picture: Picture, x: ISize, y: ISize): U8 =>
    let window = Array[U8](9)
    for dy in Range[ISize](-1, 2) do
      for dx in Range[ISize](-1, 2) do
        window.push(picture.at(x + dx, y + dy))
      end
    end
    _middle(window)

  fun _middle(window: Array[U8]): U8 =>
    """
    Nine elements: five rounds of selection are enough to fix the middle one.
    """
    try
      for i in Range(0, 5) do
        var smallest = i
        for j in Range(i + 1, window.size()) do
          if window(j)? < window(smallest)? then smallest = j end
        end
        let displaced = window(i)?
        window(i)? = window(smallest)?
        window(smallest)? = displaced
      end
      window(4)?
    else
      0
    end

actor Worker
  be filter(
    picture: Picture,
    kernel: Kernel,
    first: USize,
    last: USize,
    assembler: Assembler)
  =>
    let band =
      recover iso
        let rows = Array[U8]((last - first) * picture.width)
        for y in Range(first, last) do
          for x in Range(0, picture.width) do
            rows.push(kernel(picture, x.isize(), y.isize()))
          end
        end
        rows
      end
    assembler.deliver(first, consume band)

actor Assembler
  """
  Writes bands in order, whatever the order in which they arrive.
  """
  let _out: OutStream
  let _waiting: Map[USize, Array[U8] val] = Map[USize, Array[U8] val]
  let _band_rows: USize
  var _next: USize = 0

  new create(out: OutStream, band_rows: USize) =>
    _out = out
    _band_rows = band_rows

  be deliver(first: USize, band: Array[U8] val) =>
    _waiting(first) = band
    try
      while true do
        (_, let ready) = _waiting.remove(_next)?
        _out.write(ready)
        _next = _next + _band_rows
      end
    end

class iso _Collect is InputNotify
  """
  Gathers standard input. At the end of the stream the buffer is swapped out of
  the field, which is the only way to give away what a field holds.
  """
  var _buffer: Array[U8] iso = recover Array[U8] end
  let _width: USize
  let _out: OutStream

  new iso create(width: USize, out: OutStream) =>
    _width = width
    _out = out

  fun ref apply(data: Array[U8] iso) =>
    _buffer.append(consume data)

  fun ref dispose() =>
    let pixels: Array[U8] val = _buffer = recover Array[U8] end
    let picture = Picture(_width, pixels)
    let rows: USize = 64
    let assembler = Assembler(_out, rows)
    for first in Range(0, picture.height(), rows) do
      let last = (first + rows).min(picture.height())
      Worker.filter(picture, Median, first, last, assembler)
    end

actor Main
  new create(env: Env) =>
    try
      let width = env.args(1)?.usize()?
      if width == 0 then error end
      env.input(_Collect(width, env.out), 65536)
    else
      env.err.print("usage: band_filter WIDTH < input.raw > output.raw")
      env.exitcode(2)
    end
