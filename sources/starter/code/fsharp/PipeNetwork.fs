/// Steady flow in looped water networks by the Hardy Cross method.
///
/// Units of measure carry the physics: a head cannot be added to a flow, and a
/// forgotten conversion from litres per second does not compile.
module Waterworks.PipeNetwork

open System

[<Measure>] type m
[<Measure>] type mm
[<Measure>] type s
[<Measure>] type l

let litres (x: float<l>) : float<m^3> = x / 1000.0<l/m^3>
let millimetres (x: float<mm>) : float<m> = x / 1000.0<mm/m>

type Flow = float<m^3/s>
type Head = float<m>

[<Struct>]
type NodeId = NodeId of string

type Pipe =
    { From: NodeId
      To: NodeId
      Length: float<m>
      Diameter: float<m>
      /// Hazen-Williams coefficient: 150 for smooth plastic, 100 for old iron.
      Roughness: float }

type Network =
    { Pipes: Pipe[]
      /// Water taken out at a node; sources are negative.
      Demand: Map<NodeId, Flow>
      Reservoir: NodeId
      ReservoirHead: Head }

type Problem =
    | UnknownNode of NodeId
    | NotConnected of NodeId list
    | Unbalanced of Flow
    | NoConvergence of iterations: int * residual: Head

/// The resistance r in h = r * Q^1.852. The exponent is not a whole number, so
/// the empirical formula has to step outside the unit system exactly once.
let private resistance (p: Pipe) =
    10.67 * float p.Length / (p.Roughness ** 1.852 * float p.Diameter ** 4.8704)

let headLoss (p: Pipe) (q: Flow) : Head =
    let q' = float q
    resistance p * float (sign q') * abs q' ** 1.852 * 1.0<m>

/// Derivative of the head loss by the flow.
let private slope (p: Pipe) (q: Flow) : float<s/m^2> =
    1.852 * resistance p * max (abs (float q)) 1e-9 ** 0.852 * 1.0<s/m^2>

let velocity (p: Pipe) (q: Flow) : float<m/s> =
    q / (Math.PI / 4.0 * p.Diameter * p.Diameter)

// --- Topology -----------------------------------------------------------------

/// A spanning tree from the reservoir: each reached node with the pipe to its
/// parent. Pipes that are left over close exactly one loop each.
let private spanningTree (net: Network) =
    let rec grow (tree: Map<NodeId, int option>) frontier =
        match frontier with
        | [] -> tree
        | node :: rest ->
            let fresh =
                [ for i in 0 .. net.Pipes.Length - 1 do
                      let p = net.Pipes.[i]
                      if p.From = node && not (tree.ContainsKey p.To) then p.To, i
                      elif p.To = node && not (tree.ContainsKey p.From) then p.From, i ]
                |> List.distinctBy fst
            let tree = (tree, fresh) ||> List.fold (fun t (n, i) -> t.Add(n, Some i))
            grow tree (rest @ List.map fst fresh)
    grow (Map.ofList [ net.Reservoir, None ]) [ net.Reservoir ]

let private pathToRoot (net: Network) (tree: Map<NodeId, int option>) start =
    start
    |> List.unfold (fun node ->
        tree.[node] |> Option.map (fun i ->
            let p = net.Pipes.[i]
            // +1 when we walk along the pipe's own direction.
            if p.From = node then (i, 1.0), p.To else (i, -1.0), p.From))

/// Loops as lists of (pipe index, orientation).
let private loops (net: Network) tree =
    let inTree = tree |> Map.toSeq |> Seq.choose snd |> set
    [ for i in 0 .. net.Pipes.Length - 1 do
          if not (inTree.Contains i) then
              let p = net.Pipes.[i]
              let back = pathToRoot net tree p.To
              let forth = pathToRoot net tree p.From |> List.map (fun (j, o) -> j, -o)
              // The part that both paths share cancels out.
              let shared = Set.intersect (set (List.map fst back)) (set (List.map fst forth))
              (i, 1.0) :: List.filter (fun (j, _) -> not (shared.Contains j)) (back @ forth) ]

/// A first guess that satisfies continuity: all water runs through the tree.
let private initialFlows (net: Network) tree : Flow[] =
    let flows = Array.zeroCreate net.Pipes.Length
    for KeyValue(node, demand) in net.Demand do
        for i, orientation in pathToRoot net tree node do
            flows.[i] <- flows.[i] - orientation * demand
    flows

// --- Solver -------------------------------------------------------------------

let private validate (net: Network) tree =
    let nodes = net.Pipes |> Seq.collect (fun p -> [ p.From; p.To ]) |> set
    let total = net.Demand |> Map.toSeq |> Seq.filter (fun (n, _) -> n <> net.Reservoir) |> Seq.sumBy snd
    match net.Demand |> Map.tryFindKey (fun n _ -> not (nodes.Contains n)) with
    | Some stranger -> Error(UnknownNode stranger)
    | None ->
        match nodes |> Set.filter (fun n -> not (Map.containsKey n tree)) |> Set.toList with
        | [] when total < 0.0<m^3/s> -> Error(Unbalanced total)
        | [] -> Ok()
        | islands -> Error(NotConnected islands)

let solve tolerance maxIterations (net: Network) : Result<Flow[], Problem> =
    let tree = spanningTree net
    validate net tree
    |> Result.bind (fun () ->
        let loops = loops net tree
        let flows = initialFlows net tree

        /// Corrects one loop in place and gives its head imbalance.
        let relax loop : Head =
            let imbalance = loop |> List.sumBy (fun (i, o) -> o * headLoss net.Pipes.[i] flows.[i])
            let stiffness = loop |> List.sumBy (fun (i, _) -> slope net.Pipes.[i] flows.[i])
            let correction = -imbalance / stiffness
            for i, o in loop do
                flows.[i] <- flows.[i] + o * correction
            abs imbalance

        let rec iterate n =
            let worst = loops |> List.map relax |> List.fold max 0.0<m>
            if worst <= tolerance then Ok flows
            elif n >= maxIterations then Error(NoConvergence(n, worst))
            else iterate (n + 1)
        iterate 1)

/// Pressure heads, walking from the reservoir down the tree.
let heads (net: Network) (flows: Flow[]) : Map<NodeId, Head> =
    let tree = spanningTree net
    let head node =
        pathToRoot net tree node
        |> List.sumBy (fun (i, o) -> o * headLoss net.Pipes.[i] flows.[i])
        |> fun rise -> net.ReservoirHead + rise
    tree |> Map.map (fun node _ -> head node)
