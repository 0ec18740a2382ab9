{-# LANGUAGE DefaultSignatures #-}
{-# LANGUAGE DerivingStrategies #-}
{-# LANGUAGE FlexibleContexts #-}
{-# LANGUAGE FlexibleInstances #-}
{-# LANGUAGE OverloadedStrings #-}
{-# LANGUAGE TypeOperators #-}

-- | Where do two values of the same type differ?
--
-- A type joins with @deriving anyclass Diff@; the instance is read off its
-- "GHC.Generics" representation. Paths name record fields, positions, map keys:
--
-- > listeners[1].tls.minVersion: TLS12 -> TLS13
--
-- Used at deployment to show what a new configuration changes.
module StructuralDiff (Diff (..), Change (..), Edit (..), Step (..), atomic, render) where

import qualified Data.Map.Strict as Map
import Data.Text (Text)
import qualified Data.Text as T
import GHC.Generics

-- | One step from a value into a part of it.
data Step
  = Field Text
  | Argument Int -- ^ of a constructor without field names, from 1
  | Index Int -- ^ of a list, from 0
  | Key Text -- ^ of a map
  deriving stock (Eq, Ord, Show)

-- | Shown values; the differ has no need to know more of them.
data Edit = Replaced Text Text | Added Text | Removed Text
  deriving stock (Eq, Ord, Show)

data Change = Change {path :: [Step], edit :: Edit}
  deriving stock (Eq, Ord, Show)

class Show a => Diff a where
  -- | Empty exactly when the two are equal.
  diff :: a -> a -> [Change]
  default diff :: (Generic a, GDiff (Rep a)) => a -> a -> [Change]
  diff old new = case gdiff (from old) (from new) of
    Same changes -> changes
    OtherConstructor -> [replaced old new]

  -- | As with 'showList', a method for lists: strings are compared whole.
  diffList :: [a] -> [a] -> [Change]
  diffList = elementwise 0

-- | For types without parts worth looking into.
atomic :: (Eq a, Show a) => a -> a -> [Change]
atomic old new = [replaced old new | old /= new]

replaced :: Show a => a -> a -> Change
replaced old new = Change [] (Replaced (shown old) (shown new))

shown :: Show a => a -> Text
shown = T.pack . show

under :: Step -> [Change] -> [Change]
under step = map (\c -> c {path = step : path c})

-- | Position by position; what is left of the longer list was added or removed.
elementwise :: Diff a => Int -> [a] -> [a] -> [Change]
elementwise i (x : xs) (y : ys) = under (Index i) (diff x y) ++ elementwise (i + 1) xs ys
elementwise i xs [] = [Change [Index j] (Removed (shown x)) | (j, x) <- zip [i ..] xs]
elementwise i [] ys = [Change [Index j] (Added (shown y)) | (j, y) <- zip [i ..] ys]

instance Diff Bool where diff = atomic

instance Diff Int where diff = atomic

instance Diff Integer where diff = atomic

-- | Two NaNs count as unchanged, as a reader expects.
instance Diff Double where
  diff old new = if isNaN old && isNaN new then [] else atomic old new

instance Diff Text where diff = atomic

instance Diff Char where
  diff = atomic
  diffList = atomic

instance Diff a => Diff [a] where diff = diffList

instance Diff a => Diff (Maybe a) where
  diff (Just x) (Just y) = diff x y
  diff (Just x) Nothing = [Change [] (Removed (shown x))]
  diff Nothing (Just y) = [Change [] (Added (shown y))]
  diff Nothing Nothing = []

instance (Diff a, Diff b) => Diff (a, b)

-- | Key by key, in the order of the keys.
instance (Ord k, Show k, Diff v) => Diff (Map.Map k v) where
  diff old new = concat (Map.mapWithKey (under . Key . shown) (Map.unionsWith (++) [gone, both, fresh]))
    where
      gone = (\v -> [Change [] (Removed (shown v))]) <$> Map.difference old new
      fresh = (\v -> [Change [] (Added (shown v))]) <$> Map.difference new old
      both = Map.intersectionWith diff old new

-- | Changes inside a constructor that both values share, or word that they do
-- not share it; the caller, who can show the whole value, reports that.
data Outcome = Same [Change] | OtherConstructor

class GDiff f where
  gdiff :: f p -> f p -> Outcome

instance GDiff f => GDiff (D1 meta f) where
  gdiff (M1 x) (M1 y) = gdiff x y

instance (GDiff f, GDiff g) => GDiff (f :+: g) where
  gdiff (L1 x) (L1 y) = gdiff x y
  gdiff (R1 x) (R1 y) = gdiff x y
  gdiff _ _ = OtherConstructor

instance GFields f => GDiff (C1 meta f) where
  gdiff (M1 x) (M1 y) = Same (snd (gfields 1 x y))

-- | The number handed through counts the arguments of the constructor.
class GFields f where
  gfields :: Int -> f p -> f p -> (Int, [Change])

instance GFields U1 where
  gfields n U1 U1 = (n, [])

instance (GFields f, GFields g) => GFields (f :*: g) where
  gfields n (a :*: b) (c :*: d) = (beyond, left ++ right)
    where
      (middle, left) = gfields n a c
      (beyond, right) = gfields middle b d

instance (Selector meta, Diff a) => GFields (S1 meta (K1 i a)) where
  gfields n s@(M1 (K1 x)) (M1 (K1 y)) = (n + 1, under step (diff x y))
    where
      step = if null (selName s) then Argument n else Field (T.pack (selName s))

-- | One line for each change.
render :: [Change] -> Text
render changes = T.unlines [location (path c) <> ": " <> describe (edit c) | c <- changes]
  where
    location steps = if null steps then "(all)" else T.dropWhile (== '.') (T.concat (map segment steps))
    segment (Field name) = "." <> name
    segment (Argument n) = "." <> T.pack (show n)
    segment (Index i) = "[" <> T.pack (show i) <> "]"
    segment (Key k) = "{" <> k <> "}"
    describe (Replaced old new) = old <> " -> " <> new
    describe (Added new) = "added " <> new
    describe (Removed old) = "removed " <> old
