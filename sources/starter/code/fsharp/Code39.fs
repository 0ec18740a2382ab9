/// Reads Code 39 barcodes from a row of grey values.
///
/// Active patterns do the recognition: the element widths of a scan are matched
/// much as one would describe the symbology in words.
module Scanner.Code39

open System

/// Each character is nine elements, bars and spaces in turn, three of them wide.
let private table =
    [ "000110100", '0'; "100100001", '1'; "001100001", '2'; "101100000", '3'
      "000110001", '4'; "100110000", '5'; "001110000", '6'; "000100101", '7'
      "100100100", '8'; "001100100", '9'; "100001001", 'A'; "001001001", 'B'
      "101001000", 'C'; "000011001", 'D'; "100011000", 'E'; "001011000", 'F'
      "000001101", 'G'; "100001100", 'H'; "001001100", 'I'; "000011100", 'J'
      "100000011", 'K'; "001000011", 'L'; "101000010", 'M'; "000010011", 'N'
      "100010010", 'O'; "001010010", 'P'; "000000111", 'Q'; "100000110", 'R'
      "001000110", 'S'; "000010110", 'T'; "110000001", 'U'; "011000001", 'V'
      "111000000", 'W'; "010010001", 'X'; "110010000", 'Y'; "011010000", 'Z'
      "010000101", '-'; "110000100", '.'; "011000100", ' '; "010010100", '*' ]
    |> Map.ofList

type Colour =
    | Bar
    | Space

[<Struct>]
type Run = { Colour: Colour; Width: int }

type Failure =
    | NoStart
    | Unreadable of position: int
    | NoStop
    | WrongCheckDigit of expected: char * found: char

// --- From pixels to runs --------------------------------------------------------

/// Threshold by the mean of a sliding window: survives a shadow across the label.
let binarise (window: int) (row: byte[]) =
    let sums = Array.scan (fun acc (v: byte) -> acc + int v) 0 row
    row
    |> Array.mapi (fun i v ->
        let lo, hi = max 0 (i - window), min row.Length (i + window + 1)
        let mean = (sums.[hi] - sums.[lo]) / (hi - lo)
        // The margin keeps paper noise from turning into thin bars.
        if int v < mean - 12 then Bar else Space)

let runs (pixels: Colour[]) =
    let folder acc colour =
        match acc with
        | run :: rest when run.Colour = colour -> { run with Width = run.Width + 1 } :: rest
        | _ -> { Colour = colour; Width = 1 } :: acc
    pixels |> Array.fold folder [] |> List.rev

// --- Patterns -------------------------------------------------------------------

/// Nine runs that start with a bar, as narrow and wide. The three widest are the
/// wide ones, provided that they stand out from the rest.
let private (|Elements|_|) (input: Run list) =
    match List.truncate 9 input with
    | { Colour = Bar } :: _ as nine when nine.Length = 9 ->
        let sorted = nine |> List.map (fun r -> r.Width) |> List.sortDescending
        let narrowestWide, widestNarrow = sorted.[2], sorted.[3]
        if float narrowestWide >= 1.5 * float widestNarrow then
            let code = nine |> List.map (fun r -> if r.Width >= narrowestWide then '1' else '0')
            Some(String(List.toArray code), List.skip 9 input)
        else
            None
    | _ -> None

let private (|Symbol|_|) input =
    match input with
    | Elements(code, rest) -> table |> Map.tryFind code |> Option.map (fun c -> c, rest)
    | _ -> None

/// The light gap between characters must not be wider than a wide element.
let private (|Gap|_|) (limit: int) input =
    match input with
    | { Colour = Space; Width = w } :: rest when w <= limit -> Some rest
    | _ -> None

let private (|Quiet|_|) (least: int) input =
    match input with
    | []
    | [ { Colour = Space } ] -> Some()
    | { Colour = Space; Width = w } :: _ when w >= least -> Some()
    | _ -> None

// --- Decoding -------------------------------------------------------------------

let private characterWidth input = input |> List.truncate 9 |> List.sumBy (fun r -> r.Width)

let private decodeFrom (start: Run list) : Result<string, Failure> =
    let narrow = characterWidth start / 13 // six narrow elements, three of about 2.5
    let quiet, gap = 8 * narrow, 4 * narrow
    let rec next acc position input =
        match input with
        | Symbol('*', Quiet quiet) when not (List.isEmpty acc) ->
            Ok(String(acc |> List.rev |> List.toArray))
        | Symbol('*', _) -> Error(Unreadable position)
        | Symbol(c, Gap gap rest) -> next (c :: acc) (position + 1) rest
        | Symbol _
        | [] -> Error NoStop
        | _ -> Error(Unreadable position)
    match start with
    | Symbol('*', Gap gap rest) -> next [] 0 rest
    | _ -> Error NoStart

/// Tries every bar that follows a quiet zone as the start of a symbol, and keeps
/// the failure that got furthest for the message.
let decode (row: byte[]) : Result<string, Failure> =
    let rank =
        function
        | NoStart -> -1
        | Unreadable n -> n
        | NoStop -> 1000
        | WrongCheckDigit _ -> 1001
    let rec candidates input =
        seq {
            match input with
            | { Colour = Space; Width = w } :: (({ Colour = Bar } :: _) as rest) ->
                if w >= characterWidth rest / 2 then yield rest
                yield! candidates rest
            | _ :: rest -> yield! candidates rest
            | [] -> ()
        }
    let attempts = row |> binarise 40 |> runs |> candidates |> Seq.map decodeFrom |> Seq.cache
    match attempts |> Seq.tryPick (function Ok text -> Some text | Error _ -> None) with
    | Some text -> Ok text
    | None ->
        (Error NoStart, attempts)
        ||> Seq.fold (fun best attempt ->
            match best, attempt with
            | Error b, Error a when rank a > rank b -> attempt
            | _ -> best)

/// The optional modulo-43 check character used by some industries.
let verify (text: string) =
    let alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%"
    let body, found = text.Substring(0, text.Length - 1), text.[text.Length - 1]
    let expected = alphabet.[(body |> Seq.sumBy (fun c -> alphabet.IndexOf(string c))) % 43]
    if expected = found then Ok body else Error(WrongCheckDigit(expected, found))
