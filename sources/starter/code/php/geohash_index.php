<?php

/**
 * Nearby search over shops or stations with nothing but sorted strings.
 *
 * Points are keyed by geohash (Morton order in base 32). A circle is covered by at
 * most nine cells, each of which is one binary search in a sorted array; an exact
 * distance check then removes the corners.
 */

declare(strict_types=1);

namespace Geo;

const EARTH_RADIUS_M = 6_371_008.8;
const ALPHABET = '0123456789bcdefghjkmnpqrstuvwxyz';

final readonly class Point
{
    public function __construct(public float $lat, public float $lon)
    {
        if (abs($lat) > 90 || abs($lon) > 180) {
            throw new \DomainException("($lat, $lon) is not on the globe");
        }
    }

    public function metresTo(self $other): float
    {
        $dLat = deg2rad($other->lat - $this->lat);
        $dLon = deg2rad($other->lon - $this->lon);
        $h = sin($dLat / 2) ** 2
            + cos(deg2rad($this->lat)) * cos(deg2rad($other->lat)) * sin($dLon / 2) ** 2;
        return 2 * EARTH_RADIUS_M * asin(min(1.0, sqrt($h)));
    }
}

function encode(Point $p, int $length): string
{
    $bounds = ['lon' => [-180.0, 180.0], 'lat' => [-90.0, 90.0]];
    $hash = '';
    for ($bit = 0, $symbol = 0; strlen($hash) < $length; $bit++) {
        $axis = $bit % 2 === 0 ? 'lon' : 'lat';
        $middle = array_sum($bounds[$axis]) / 2;
        $upper = $p->{$axis} >= $middle;
        $bounds[$axis][$upper ? 0 : 1] = $middle;
        $symbol = ($symbol << 1) | (int) $upper;
        if ($bit % 5 === 4) {
            $hash .= ALPHABET[$symbol];
            $symbol = 0;
        }
    }
    return $hash;
}

/** @return array{float, float} height and width of a cell, in degrees */
function cellSize(int $length): array
{
    $bits = 5 * $length;
    return [180 / 2 ** intdiv($bits, 2), 360 / 2 ** intdiv($bits + 1, 2)];
}

/** The longest prefix whose cells are no smaller than the circle's radius. */
function prefixLengthFor(Point $centre, float $radius): int
{
    $metresPerDegree = EARTH_RADIUS_M * M_PI / 180;
    for ($length = 9; $length > 1; $length--) {
        [$height, $width] = cellSize($length);
        // Cells narrow towards the poles; take the circle's edge that is nearer to one.
        $lat = min(89.9, abs($centre->lat) + $radius / $metresPerDegree);
        if (min($height, $width * cos(deg2rad($lat))) * $metresPerDegree >= $radius) {
            return $length;
        }
    }
    return 1;
}

/** @return list<string> the cell of the centre and its neighbours, without duplicates */
function cover(Point $centre, int $length): array
{
    [$height, $width] = cellSize($length);
    $cells = [];
    foreach ([-1, 0, 1] as $north) {
        $lat = $centre->lat + $north * $height;
        if (abs($lat) > 90) {
            continue;
        }
        foreach ([-1, 0, 1] as $east) {
            // Wrap around the antimeridian.
            $lon = fmod($centre->lon + $east * $width + 540, 360) - 180;
            $cells[encode(new Point($lat, $lon), $length)] = true;
        }
    }
    return array_map(strval(...), array_keys($cells));
}

final class GeohashIndex implements \Countable
{
    private const PRECISION = 9;

    /** @var list<array{string, int|string, Point}> */
    private array $entries = [];
    private bool $sorted = true;

    public function add(int|string $id, Point $point): void
    {
        $this->entries[] = [encode($point, self::PRECISION), $id, $point];
        $this->sorted = false;
    }

    public function count(): int
    {
        return count($this->entries);
    }

    /** @return array<int|string, float> id => metres, nearest first */
    public function within(Point $centre, float $radius): array
    {
        if (!$this->sorted) {
            usort($this->entries, static fn (array $a, array $b) => strcmp($a[0], $b[0]));
            $this->sorted = true;
        }
        $found = [];
        foreach (cover($centre, prefixLengthFor($centre, $radius)) as $cell) {
            for ($i = $this->lowerBound($cell); $i < count($this->entries); $i++) {
                [$hash, $id, $point] = $this->entries[$i];
                if (!str_starts_with($hash, $cell)) {
                    break;
                }
                $metres = $centre->metresTo($point);
                if ($metres <= $radius) {
                    $found[$id] = $metres;
                }
            }
        }
        asort($found);
        return $found;
    }

    private function lowerBound(string $prefix): int
    {
        [$low, $high] = [0, count($this->entries)];
        while ($low < $high) {
            $middle = intdiv($low + $high, 2);
            strcmp($this->entries[$middle][0], $prefix) < 0 ? $low = $middle + 1 : $high = $middle;
        }
        return $low;
    }
}
