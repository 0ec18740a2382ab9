{-# LANGUAGE FlexibleContexts #-}

-- | Duty rosters by maximum flow.
--
-- Each nurse may work a bounded number of shifts in the week, never more than
-- one on the same day, and only shifts that she offered. The network is
--
-- > source -> nurse -> (nurse, day) -> shift -> sink
--
-- and Dinic's algorithm fills it. The residual capacities live in unboxed
-- mutable arrays inside 'ST'; from outside, 'roster' is a pure function.
module Main (main) where

import Control.Monad (forM_, when)
import Control.Monad.ST (ST, runST)
import Data.Array (Array, accumArray, (!))
import Data.Array.ST (STUArray, getElems, newArray, newListArray, readArray, writeArray)
import Data.Array.Unboxed (UArray)
import qualified Data.Array.Unboxed as U
import Data.Bits (xor)
import Data.List (nub, sort)
import Data.Map.Strict (Map)
import qualified Data.Map.Strict as Map
import Data.STRef (modifySTRef', newSTRef, readSTRef)

data Day = Mon | Tue | Wed | Thu | Fri | Sat | Sun
  deriving (Eq, Ord, Show, Enum, Bounded)

data Part = Early | Late | Night
  deriving (Eq, Ord, Show, Enum, Bounded)

data Shift = Shift {day :: Day, part :: Part}
  deriving (Eq, Ord)

instance Show Shift where
  showsPrec _ (Shift d p) = shows d . showChar ' ' . shows p

data Nurse = Nurse {name :: String, maxShifts :: Int, offers :: [Shift]}

-- Flow networks --------------------------------------------------------------

-- | Edge @2k@ is the k-th edge given, edge @2k + 1@ is its reverse, so that the
-- partner of any edge is found by flipping its lowest bit.
data Network = Network
  { nodeCount :: Int
  , targets :: UArray Int Int
  , capacities :: [Int]
  , outgoing :: Array Int [Int]
  }

network :: Int -> [(Int, Int, Int)] -> Network
network n edges =
  Network
    { nodeCount = n
    , targets = U.listArray (0, 2 * length edges - 1) (concat [[v, u] | (u, v, _) <- edges])
    , capacities = concat [[c, 0] | (_, _, c) <- edges]
    , outgoing = accumArray (flip (:)) [] (0, n - 1) (zip tails [0 ..])
    }
  where
    tails = concat [[u, v] | (u, v, _) <- edges]

-- | The flow on each of the given edges, in their order, when the total from
-- the first node to the second is as large as it can be.
maxFlow :: Network -> Int -> Int -> [Int]
maxFlow net source sink = runST $ do
  residual <- newListArray (0, length (capacities net) - 1) (capacities net)
  phases residual
  left <- getElems residual
  pure [c - r | (c, r, k) <- zip3 (capacities net) left [0 :: Int ..], even k]
  where
    phases :: STUArray s Int Int -> ST s ()
    phases residual = do
      level <- newArray (0, nodeCount net - 1) (-1)
      writeArray level source 0
      bfs residual level [source]
      reached <- readArray level sink
      when (reached >= 0) $ do
        _ <- push residual level maxBound source
        phases residual

    -- Distances from the source over edges that have room, a layer at a time.
    bfs :: STUArray s Int Int -> STUArray s Int Int -> [Int] -> ST s ()
    bfs _ _ [] = pure ()
    bfs residual level frontier = do
      next <- newSTRef []
      forM_ frontier $ \u -> do
        here <- readArray level u
        forM_ (outgoing net ! u) $ \e -> do
          let v = targets net U.! e
          room <- readArray residual e
          there <- readArray level v
          when (room > 0 && there < 0) $ do
            writeArray level v (here + 1)
            modifySTRef' next (v :)
      readSTRef next >>= bfs residual level

    -- Send up to the given amount from a node; the answer is what arrived. A
    -- node that could not pass on all that it was offered is exhausted for this
    -- phase, and is taken out of the level graph.
    push :: STUArray s Int Int -> STUArray s Int Int -> Int -> Int -> ST s Int
    push residual level amount u
      | u == sink = pure amount
      | otherwise = do
          here <- readArray level u
          sent <- try here 0 (outgoing net ! u)
          when (sent < amount) $ writeArray level u (-1)
          pure sent
      where
        try _ sent [] = pure sent
        try _ sent _ | sent == amount = pure sent
        try here sent (e : es) = do
          let v = targets net U.! e
          room <- readArray residual e
          there <- readArray level v
          if room <= 0 || there /= here + 1
            then try here sent es
            else do
              got <- push residual level (min room (amount - sent)) v
              writeArray residual e (room - got)
              back <- readArray residual (e `xor` 1)
              writeArray residual (e `xor` 1) (back + got)
              try here (sent + got) es

-- Rosters --------------------------------------------------------------------

data Node = Source | Sink | Person String | OnDay String Day | Demand Shift
  deriving (Eq, Ord)

-- | Who works which shift; shifts short of staff simply have fewer names.
roster :: Map Shift Int -> [Nurse] -> Map Shift [String]
roster demand nurses = Map.unionWith (++) assigned ([] <$ demand)
  where
    edges =
      [(Source, Person (name n), maxShifts n) | n <- nurses]
        ++ [(Person (name n), OnDay (name n) d, 1) | n <- nurses, d <- nub (map day (offers n))]
        ++ [(OnDay (name n) (day s), Demand s, 1) | n <- nurses, s <- nub (offers n)]
        ++ [(Demand s, Sink, k) | (s, k) <- Map.toList demand]
    nodes = Map.fromList (zip (Map.keys (Map.fromList (concat [[(u, ()), (v, ())] | (u, v, _) <- edges]))) [0 ..])
    net = network (Map.size nodes) [(nodes Map.! u, nodes Map.! v, c) | (u, v, c) <- edges]
    flows = maxFlow net (nodes Map.! Source) (nodes Map.! Sink)
    assigned = Map.fromListWith (flip (++)) [(s, [n]) | ((OnDay n _, Demand s, _), 1) <- zip edges flows]

main :: IO ()
main = forM_ (Map.toList (roster demand staff)) $ \(shift, names) ->
  putStrLn (show shift ++ ": " ++ unwords (sort names) ++ concat (replicate (demand Map.! shift - length names) " [open]"))
  where
    demand = Map.fromList [(s, if part s == Night then 1 else 2) | s <- concatMap every [minBound ..]]
    staff = [Nurse "Ilse" 3 (every Early ++ every Late), Nurse "Tomo" 2 (every Night), Nurse "Berit" 3 (every Early)
            , Nurse "Oke" 3 (every Late ++ every Night), Nurse "Pia" 2 [Shift Mon Late, Shift Wed Late, Shift Tue Night]]
    every p = [Shift d p | d <- [Mon .. Wed]]
