-- |
-- A pool of workers that share a priority queue, built on software
-- transactional memory.
--
-- * Jobs may depend on other jobs; a job becomes ready when all of them are done.
-- * Within one priority the order of submission is kept.
-- * A failed job fails everything that depends on it, without running it.
--
-- There is no lock anywhere: 'retry' does the waiting.
module JobPool (Pool, JobId, Priority (..), Outcome (..), withPool, submit, await) where

import Control.Concurrent (forkIO)
import Control.Concurrent.STM
import Control.Exception (SomeException, bracket, try)
import Control.Monad (forM_, replicateM_, when)
import Data.Map.Strict (Map)
import qualified Data.Map.Strict as Map
import Data.Set (Set)
import qualified Data.Set as Set

newtype JobId = JobId Int deriving (Eq, Ord, Show)

-- | The derived 'Ord' puts urgent jobs first.
data Priority = Urgent | Normal | Background
  deriving (Eq, Ord, Show, Enum, Bounded)

data Outcome
  = Finished
  | Crashed SomeException
  | DependencyFailed JobId
  deriving (Show)

data Phase = Blocked (Set JobId) | Ready | Running | Done Outcome

data Job = Job
  { jobPriority :: Priority
  , jobAction :: IO ()
  , jobPhase :: TVar Phase
  , jobDependents :: TVar [JobId]
  }

data Pool = Pool
  { poolJobs :: TVar (Map JobId Job)
  , poolReady :: TVar (Set (Priority, JobId))
  , poolNext :: TVar Int
  , poolOpen :: TVar Bool
  , poolBusy :: TVar Int
  }

-- | Runs @body@ with a pool of @n@ workers. Leaving the body waits until the
-- queue is empty and every worker is idle.
withPool :: Int -> (Pool -> IO a) -> IO a
withPool n = bracket start stop
  where
    start = do
      pool <- Pool <$> newTVarIO Map.empty <*> newTVarIO Set.empty <*> newTVarIO 0 <*> newTVarIO True <*> newTVarIO n
      replicateM_ n (forkIO (worker pool))
      pure pool
    stop pool = do
      atomically $ writeTVar (poolOpen pool) False
      atomically $ readTVar (poolBusy pool) >>= check . (== 0)

-- | Adds a job that starts after all of @deps@ have finished.
submit :: Pool -> Priority -> [JobId] -> IO () -> STM JobId
submit pool priority deps action = do
  number <- readTVar (poolNext pool)
  writeTVar (poolNext pool) $! number + 1
  let self = JobId number
  jobs <- readTVar (poolJobs pool)
  phases <- sequence [(,) d <$> readTVar (jobPhase j) | d <- deps, Just j <- [Map.lookup d jobs]]
  let waiting = Set.fromList [d | (d, p) <- phases, unfinished p]
      broken = [d | (d, Done o) <- phases, not (succeeded o)]
      phase = case broken of
        d : _ -> Done (DependencyFailed d)
        [] | Set.null waiting -> Ready
           | otherwise -> Blocked waiting
  job <- Job priority action <$> newTVar phase <*> newTVar []
  forM_ (Set.toList waiting) $ \d -> modifyTVar' (jobDependents (jobs Map.! d)) (self :)
  writeTVar (poolJobs pool) $! Map.insert self job jobs
  case phase of
    Ready -> modifyTVar' (poolReady pool) (Set.insert (priority, self))
    _ -> pure ()
  pure self
  where
    unfinished = not . isDone

-- | Blocks until the job has an outcome. Being STM, it composes:
-- @await p a \`orElse\` await p b@ waits for whichever comes first.
await :: Pool -> JobId -> STM Outcome
await pool ident = do
  jobs <- readTVar (poolJobs pool)
  phase <- readTVar (jobPhase (jobs Map.! ident))
  case phase of
    Done outcome -> pure outcome
    _ -> retry

worker :: Pool -> IO ()
worker pool = do
  next <- atomically $ (Just <$> takeReady pool) `orElse` (Nothing <$ (closed >> drained))
  case next of
    Nothing -> atomically $ modifyTVar' (poolBusy pool) (subtract 1)
    Just (ident, job) -> do
      result <- try (jobAction job)
      atomically . settle pool ident $ either Crashed (const Finished) result
      worker pool
  where
    closed = readTVar (poolOpen pool) >>= check . not
    -- Blocked jobs may still become ready, so emptiness of the queue is not enough.
    drained = do
      jobs <- readTVar (poolJobs pool)
      forM_ jobs $ \j -> readTVar (jobPhase j) >>= check . isDone

takeReady :: Pool -> STM (JobId, Job)
takeReady pool = do
  ready <- readTVar (poolReady pool)
  ((_, ident), rest) <- maybe retry pure (Set.minView ready)
  writeTVar (poolReady pool) rest
  job <- (Map.! ident) <$> readTVar (poolJobs pool)
  writeTVar (jobPhase job) Running
  pure (ident, job)

-- | Records an outcome and tells the dependents, all in one transaction.
settle :: Pool -> JobId -> Outcome -> STM ()
settle pool ident outcome = do
  jobs <- readTVar (poolJobs pool)
  let job = jobs Map.! ident
  writeTVar (jobPhase job) (Done outcome)
  modifyTVar' (poolReady pool) (Set.delete (jobPriority job, ident))
  dependents <- readTVar (jobDependents job)
  forM_ (reverse dependents) $ \d -> do
    let dependent = jobs Map.! d
    phase <- readTVar (jobPhase dependent)
    case phase of
      Blocked deps
        | not (succeeded outcome) -> settle pool d (DependencyFailed ident)
        | otherwise -> do
            let left = Set.delete ident deps
            writeTVar (jobPhase dependent) (if Set.null left then Ready else Blocked left)
            when (Set.null left) $ modifyTVar' (poolReady pool) (Set.insert (jobPriority dependent, d))
      _ -> pure ()

isDone :: Phase -> Bool
isDone (Done _) = True
isDone _ = False

succeeded :: Outcome -> Bool
succeeded Finished = True
succeeded _ = False
