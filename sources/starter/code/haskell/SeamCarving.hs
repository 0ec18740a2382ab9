{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE TupleSections #-}

-- | Content-aware narrowing of greyscale images: seams of least energy are
-- removed one column at a time.
--
-- > seam-carving 120 < wide.pgm > narrow.pgm
--
-- The dynamic programme is a lazy array that refers to itself; evaluation order
-- takes care of itself and each cell is computed once.
module Main (main) where

import Control.Monad (when)
import Data.Array (Array, bounds, inRange, listArray, (!))
import qualified Data.Array as Array
import Data.Array.Unboxed (UArray)
import qualified Data.Array.Unboxed as U
import qualified Data.ByteString as B
import qualified Data.ByteString.Char8 as C
import Data.Foldable (minimumBy)
import Data.Ord (comparing)
import Data.Word (Word8)
import System.Environment (getArgs)
import System.Exit (die)

-- | Rows and columns, from (0, 0) at the top left.
type Image = UArray (Int, Int) Word8

-- | For each row, the column to take out.
type Seam = Array Int Int

width, height :: Image -> Int
width img = let ((_, c0), (_, c1)) = U.bounds img in c1 - c0 + 1
height img = let ((r0, _), (r1, _)) = U.bounds img in r1 - r0 + 1

-- | Gradient magnitude with mirrored borders.
energy :: Image -> UArray (Int, Int) Int
energy img = U.listArray bnds [abs (dx p) + abs (dy p) | p <- U.range bnds]
  where
    bnds@(_, (lastRow, lastCol)) = U.bounds img
    at r c = fromIntegral (img U.! (clamp lastRow r, clamp lastCol c)) :: Int
    clamp top = max 0 . min top
    dx (r, c) = at r (c + 1) - at r (c - 1)
    dy (r, c) = at (r + 1) c - at (r - 1) c

-- | A partial seam from the top: its cost, and the column it came from.
data Cell = Cell {cost :: !Int, parent :: !Int}

bestSeam :: Image -> Seam
bestSeam img = listArray (0, lastRow) (reverse (take (lastRow + 1) (climb lastRow start)))
  where
    e = energy img
    bnds@(_, (lastRow, lastCol)) = U.bounds img

    table :: Array (Int, Int) Cell
    table = listArray bnds (map cell (Array.range bnds))

    cell (0, c) = Cell (e U.! (0, c)) c
    cell (r, c) = Cell (e U.! (r, c) + cost (table ! (r - 1, from))) from
      where
        from = minimumBy (comparing (cost . (table !) . (r - 1,))) [c' | c' <- [c, c - 1, c + 1], inRange (0, lastCol) c']

    start = minimumBy (comparing (cost . (table !) . (lastRow,))) [0 .. lastCol]

    climb r c = c : if r == 0 then [] else climb (r - 1) (parent (table ! (r, c)))

removeSeam :: Seam -> Image -> Image
removeSeam seam img = U.array ((0, 0), (height img - 1, width img - 2)) pixels
  where
    (top, bottom) = bounds seam
    pixels =
      [ ((r, if c < gap then c else c - 1), img U.! (r, c))
      | r <- [top .. bottom]
      , let gap = seam ! r
      , c <- [0 .. width img - 1]
      , c /= gap
      ]

narrowTo :: Int -> Image -> Image
narrowTo target = go
  where
    go !img
      | width img <= target = img
      | otherwise = go (removeSeam (bestSeam img) img)

-- * Portable greymaps, binary variant (P5)

decode :: B.ByteString -> Either String Image
decode bytes = do
  (magic, afterMagic) <- token bytes
  when (magic /= C.pack "P5") $ Left "not a binary PGM file"
  (w, afterWidth) <- number afterMagic
  (h, afterHeight) <- number afterWidth
  (top, afterMax) <- number afterHeight
  when (top > 255) $ Left "only 8 bits per pixel are supported"
  when (w < 1 || h < 1) $ Left "the image is empty"
  let raster = B.drop 1 afterMax -- exactly one whitespace byte
  when (B.length raster < w * h) $ Left ("expected " ++ show (w * h) ++ " pixels, got " ++ show (B.length raster))
  pure (U.listArray ((0, 0), (h - 1, w - 1)) (B.unpack raster))
  where
    number s = do
      (t, rest) <- token s
      case C.readInt t of
        Just (n, extra) | B.null extra -> Right (n, rest)
        _ -> Left ("bad number in header: " ++ C.unpack t)

    token s = case C.uncons (skipBlank s) of
      Nothing -> Left "file ends inside the header"
      Just ('#', rest) -> token (C.dropWhile (/= '\n') rest)
      Just _ -> Right (C.break (`elem` " \t\r\n") (skipBlank s))

    skipBlank = C.dropWhile (`elem` " \t\r\n")

encode :: Image -> B.ByteString
encode img = header <> B.pack (U.elems img)
  where
    header = C.pack (unlines ["P5", unwords [show (width img), show (height img)], "255"])

main :: IO ()
main = do
  args <- getArgs
  target <- case args of
    [n] | [(t, "")] <- reads n, t > 0 -> pure (t :: Int)
    _ -> die "usage: seam-carving WIDTH < IN.pgm > OUT.pgm"
  input <- B.getContents
  case decode input of
    Left problem -> die ("seam-carving: " ++ problem)
    Right img
      | target > width img -> die "seam-carving: images can only be made narrower"
      | otherwise -> B.putStr (encode (narrowTo target img))
