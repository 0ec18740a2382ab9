/// A computation expression for build plans, with a planner that runs targets in
/// parallel as far as their dependencies allow.
///
///     let docs = target "docs" {
///         after [ restore ]
///         inputs [ "docs/*.md" ]
///         run "mdbook build docs"
///         retry 2
///     }
module Build.BuildPlan

open System
open System.Collections.Generic

type Condition =
    | Always
    | OnlyIf of reason: string * (unit -> bool)

type Target =
    { Name: string
      Dependencies: Target list
      Inputs: string list
      Commands: string list
      Condition: Condition
      Retries: int }

// --- The builder ----------------------------------------------------------------

type TargetBuilder(name: string) =
    member _.Yield(()) =
        { Name = name; Dependencies = []; Inputs = []; Commands = []; Condition = Always; Retries = 0 }

    [<CustomOperation("after")>]
    member _.After(t: Target, dependencies) = { t with Dependencies = t.Dependencies @ dependencies }

    [<CustomOperation("inputs")>]
    member _.Inputs(t: Target, patterns) = { t with Inputs = t.Inputs @ patterns }

    [<CustomOperation("run")>]
    member _.RunCommand(t: Target, command: string) = { t with Commands = t.Commands @ [ command ] }

    [<CustomOperation("only_if")>]
    member _.OnlyIf(t: Target, reason, test) = { t with Condition = OnlyIf(reason, test) }

    [<CustomOperation("retry")>]
    member _.Retry(t: Target, times) =
        if times < 0 then invalidArg "times" "must not be negative"
        { t with Retries = times }

    /// Checks that concern the target as a whole come last.
    member _.Run(t: Target) =
        if List.isEmpty t.Commands && List.isEmpty t.Dependencies then
            failwithf "target '%s' does nothing" t.Name
        t

let target name = TargetBuilder name

// --- Planning -------------------------------------------------------------------

/// Waves of targets; those of one wave do not depend on each other. Values cannot
/// refer to values defined later, so a cycle is impossible by construction.
let waves (goals: Target list) : Target list list =
    let depth = Dictionary<string, int>()
    let found = Dictionary<string, Target>()
    let rec visit t =
        match depth.TryGetValue t.Name with
        | true, d when Object.ReferenceEquals(found.[t.Name], t) -> d
        | true, _ -> failwithf "two different targets are called '%s'" t.Name
        | false, _ ->
            let d = (0, t.Dependencies) ||> List.fold (fun deepest dep -> max deepest (visit dep + 1))
            depth.[t.Name] <- d
            found.[t.Name] <- t
            d
    goals |> List.iter (visit >> ignore)
    let byDepth = found.Values |> List.ofSeq |> List.groupBy (fun t -> depth.[t.Name])
    byDepth |> List.sortBy fst |> List.map (snd >> List.sortBy (fun t -> t.Name))

// --- Running --------------------------------------------------------------------

type Status =
    | Built of seconds: float
    | UpToDate
    | Skipped of reason: string
    | Broken of error: string

type Host =
    { Shell: string -> Async<int>
      /// Fingerprint of everything that the target reads.
      Fingerprint: Target -> string
      LastFingerprint: Target -> string option
      Remember: Target -> string -> unit
      Clock: unit -> DateTime }

let private perform (host: Host) command =
    async {
        let! code = host.Shell command
        if code <> 0 then failwithf "'%s' ended with exit code %d" command code
    }

let rec private attempt (host: Host) (t: Target) left : Async<Choice<unit, exn>> =
    async {
        match! Async.Catch(async { for command in t.Commands do do! perform host command }) with
        | Choice2Of2 _ when left > 0 -> return! attempt host t (left - 1)
        | result -> return result
    }

let private execute (host: Host) (t: Target) =
    async {
        let started = host.Clock()
        let fingerprint = lazy (host.Fingerprint t)
        match t.Condition with
        | OnlyIf(reason, test) when not (test ()) -> return Skipped reason
        // Without declared inputs we cannot know, so the target always runs.
        | _ when not t.Inputs.IsEmpty && host.LastFingerprint t = Some(fingerprint.Force()) -> return UpToDate
        | _ ->
            match! attempt host t t.Retries with
            | Choice1Of2() ->
                if not t.Inputs.IsEmpty then host.Remember t (fingerprint.Force())
                return Built (host.Clock() - started).TotalSeconds
            | Choice2Of2 e -> return Broken e.Message
    }

/// Runs wave after wave. Targets behind a broken one are skipped, others go on.
let build (host: Host) (goals: Target list) : Async<Map<string, Status>> =
    let step (done': Map<string, Status>) wave =
        let blocker t =
            t.Dependencies |> List.tryFind (fun d ->
                match done'.[d.Name] with
                | Broken _ | Skipped _ -> true
                | Built _ | UpToDate -> false)
        wave
        |> List.map (fun t ->
            async {
                match blocker t with
                | Some b -> return t.Name, Skipped(sprintf "because of %s" b.Name)
                | None ->
                    let! status = execute host t
                    return t.Name, status
            })
        |> Async.Parallel
    let rec go done' =
        function
        | [] -> async { return done' }
        | wave :: rest ->
            async {
                let! results = step done' wave
                return! go ((done', results) ||> Array.fold (fun m (name, s) -> Map.add name s m)) rest
            }
    go Map.empty (waves goals)
