#!/usr/bin/env -S dotnet fsi --quiet
// Finds files with the same content and, on request, replaces the copies.
//
//   find-duplicates.fsx [--delete] [--min SIZE] [--newest] DIR...
//
// Three sieves, each more expensive than the last: size, a hash of the first
// block, a hash of the whole file. Most files never get past the first.

open System
open System.IO
open System.Security.Cryptography

type Keep =
    | Oldest
    | Newest

type Options =
    { Delete: bool
      MinimumSize: int64
      Keep: Keep
      Roots: string list }

let usage () =
    eprintfn "usage: find-duplicates.fsx [--delete] [--min SIZE[k|M|G]] [--newest] DIR..."
    exit 2

/// "64k", "10M", "1G" or a plain number of bytes.
let (|Size|_|) (s: string) =
    let scale, digits =
        match s.[s.Length - 1] with
        | 'k' -> 1024L, s.TrimEnd 'k'
        | 'M' -> 1024L * 1024L, s.TrimEnd 'M'
        | 'G' -> 1024L * 1024L * 1024L, s.TrimEnd 'G'
        | _ -> 1L, s
    match Int64.TryParse digits with
    | true, n when n >= 0L -> Some(n * scale)
    | _ -> None

let rec parse options args =
    match args with
    | "--delete" :: rest -> parse { options with Delete = true } rest
    | "--newest" :: rest -> parse { options with Keep = Newest } rest
    | "--min" :: Size n :: rest -> parse { options with MinimumSize = n } rest
    | arg :: _ when arg.StartsWith "-" -> usage ()
    | dir :: rest when Directory.Exists dir -> parse { options with Roots = dir :: options.Roots } rest
    | dir :: _ ->
        eprintfn "%s: no such directory" dir
        exit 1
    | [] when options.Roots.IsEmpty -> usage ()
    | [] -> { options with Roots = List.rev options.Roots }

// --- Walking --------------------------------------------------------------------

/// A directory that cannot be read is reported and passed over.
let attempt path fallback f =
    try
        f ()
    with
    | :? UnauthorizedAccessException
    | :? IOException as e ->
        eprintfn "%s: %s" path e.Message
        fallback

let isLink (info: FileSystemInfo) = info.Attributes.HasFlag FileAttributes.ReparsePoint

let rec walk (dir: DirectoryInfo) : FileInfo seq =
    seq {
        yield! attempt dir.FullName [||] dir.GetFiles |> Seq.filter (isLink >> not)
        for child in attempt dir.FullName [||] dir.GetDirectories do
            // Following links could lead round in circles.
            if not (isLink child) then yield! walk child
    }

// --- Sieves ---------------------------------------------------------------------

let blockSize = 16 * 1024

let hashBlock (file: FileInfo) =
    use stream = file.OpenRead()
    let buffer = Array.zeroCreate<byte> blockSize
    let rec fill at =
        match stream.Read(buffer, at, buffer.Length - at) with
        | 0 -> at
        | n -> fill (at + n)
    use sha = SHA256.Create()
    sha.ComputeHash(buffer, 0, fill 0) |> Convert.ToBase64String

let hashAll (file: FileInfo) =
    use stream = file.OpenRead()
    use sha = SHA256.Create()
    sha.ComputeHash(stream :> Stream) |> Convert.ToBase64String

/// Splits every group by a key and drops what is left alone.
let sieve (key: FileInfo -> 'k) (groups: FileInfo list list) : FileInfo list list =
    groups
    |> List.collect (fun group ->
        group
        |> List.choose (fun f -> attempt f.FullName None (fun () -> Some(key f, f)))
        |> List.groupBy fst
        |> List.map (snd >> List.map snd))
    |> List.filter (fun group -> group.Length > 1)

let duplicates options =
    let candidates =
        options.Roots
        |> Seq.collect (DirectoryInfo >> walk)
        |> Seq.filter (fun f -> f.Length >= options.MinimumSize)
        |> Seq.distinctBy (fun f -> f.FullName)
        |> Seq.toList
    [ candidates ]
    |> sieve (fun f -> f.Length)
    |> sieve hashBlock
    // Small files have been read completely by now.
    |> List.partition (fun group -> group.Head.Length <= int64 blockSize)
    |> fun (small, large) -> small @ sieve hashAll large

// --- Report ---------------------------------------------------------------------

let human (bytes: int64) =
    let units = [ "B"; "KiB"; "MiB"; "GiB"; "TiB" ]
    let rec go value units =
        match units with
        | [ last ] -> sprintf "%.1f %s" value last
        | u :: _ when value < 1024.0 -> sprintf "%.1f %s" value u
        | _ :: rest -> go (value / 1024.0) rest
        | [] -> string value
    go (float bytes) units

let main options =
    let order =
        match options.Keep with
        | Oldest -> List.sortBy (fun (f: FileInfo) -> f.LastWriteTimeUtc, f.FullName.Length)
        | Newest -> List.sortByDescending (fun (f: FileInfo) -> f.LastWriteTimeUtc, -f.FullName.Length)
    let groups = duplicates options |> List.map order |> List.sortByDescending (fun g -> g.Head.Length)
    for group in groups do
        let kept, copies = group.Head, group.Tail
        printfn "%10s  %s" (human kept.Length) kept.FullName
        for copy in copies do
            printfn "%10s  %s" (if options.Delete then "deleted" else "=") copy.FullName
            if options.Delete then attempt copy.FullName () copy.Delete
    let wasted = groups |> List.sumBy (fun g -> g.Head.Length * int64 (g.Length - 1))
    printfn "%d groups, %s in copies" groups.Length (human wasted)

fsi.CommandLineArgs
|> Array.toList
|> List.tail
|> parse { Delete = false; MinimumSize = 1L; Keep = Oldest; Roots = [] }
|> main
