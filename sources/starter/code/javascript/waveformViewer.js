/**
 * Canvas viewer for long mono recordings. A min/max pyramid is built once, so
 * drawing costs O(canvas width) at any zoom level, from one hour down to samples.
 */

const BASE_BLOCK = 256;

/** @param {Float32Array} samples */
export function buildPeakPyramid(samples) {
  const levels = [];
  let count = Math.ceil(samples.length / BASE_BLOCK);
  let peaks = new Float32Array(count * 2);

  for (let block = 0; block < count; block++) {
    let lo = Infinity;
    let hi = -Infinity;
    const end = Math.min(samples.length, (block + 1) * BASE_BLOCK);
    for (let i = block * BASE_BLOCK; i < end; i++) {
      if (samples[i] < lo) lo = samples[i];
      if (samples[i] > hi) hi = samples[i];
    }
    peaks[2 * block] = lo;
    peaks[2 * block + 1] = hi;
  }
  levels.push({ blockSize: BASE_BLOCK, peaks });

  while (count > 1) {
    const parentCount = Math.ceil(count / 2);
    const parent = new Float32Array(parentCount * 2);
    for (let i = 0; i < parentCount; i++) {
      const left = 4 * i;
      const right = Math.min(left + 2, 2 * (count - 1));
      parent[2 * i] = Math.min(peaks[left], peaks[right]);
      parent[2 * i + 1] = Math.max(peaks[left + 1], peaks[right + 1]);
    }
    levels.push({ blockSize: levels.at(-1).blockSize * 2, peaks: parent });
    peaks = parent;
    count = parentCount;
  }
  return levels;
}

export class WaveformViewer {
  #canvas;
  #ctx;
  #samples;
  #pyramid;
  #start = 0;
  #samplesPerPixel = 1;
  #frame = 0;
  #resizeObserver;

  constructor(canvas, samples, { sampleRate = 48_000 } = {}) {
    this.#canvas = canvas;
    this.#ctx = canvas.getContext('2d', { alpha: false });
    this.#samples = samples;
    this.#pyramid = buildPeakPyramid(samples);
    this.sampleRate = sampleRate;

    this.#resizeObserver = new ResizeObserver(([entry]) => {
      const { inlineSize, blockSize } = entry.contentBoxSize[0];
      canvas.width = Math.round(inlineSize * devicePixelRatio);
      canvas.height = Math.round(blockSize * devicePixelRatio);
      this.fit();
    });
    this.#resizeObserver.observe(canvas);
    canvas.addEventListener('wheel', this.#onWheel, { passive: false });
  }

  dispose() {
    cancelAnimationFrame(this.#frame);
    this.#resizeObserver.disconnect();
    this.#canvas.removeEventListener('wheel', this.#onWheel);
  }

  fit() {
    this.#start = 0;
    this.#samplesPerPixel = Math.max(1, this.#samples.length / this.#canvas.width);
    this.#scheduleDraw();
  }

  /** Zoom so that the sample under `x` (device pixels) stays where it is. */
  zoomAt(x, factor) {
    const anchor = this.#start + x * this.#samplesPerPixel;
    const widest = this.#samples.length / this.#canvas.width;
    this.#samplesPerPixel = Math.min(widest, Math.max(1 / 16, this.#samplesPerPixel * factor));
    this.#scrollTo(anchor - x * this.#samplesPerPixel);
  }

  #scrollTo(start) {
    const last = this.#samples.length - this.#canvas.width * this.#samplesPerPixel;
    this.#start = Math.max(0, Math.min(start, last));
    this.#scheduleDraw();
  }

  #onWheel = (event) => {
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      this.zoomAt(event.offsetX * devicePixelRatio, Math.exp(event.deltaY * 0.01));
    } else {
      this.#scrollTo(this.#start + (event.deltaX + event.deltaY) * this.#samplesPerPixel);
    }
  };

  #scheduleDraw() {
    if (this.#frame !== 0) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#draw();
    });
  }

  #extremes(from, to, level) {
    let lo = 1;
    let hi = -1;
    if (level) {
      const last = level.peaks.length / 2 - 1;
      const end = Math.min(last, Math.floor(to / level.blockSize));
      for (let b = Math.floor(from / level.blockSize); b <= end; b++) {
        lo = Math.min(lo, level.peaks[2 * b]);
        hi = Math.max(hi, level.peaks[2 * b + 1]);
      }
    } else {
      for (let i = Math.floor(from); i <= to && i < this.#samples.length; i++) {
        lo = Math.min(lo, this.#samples[i]);
        hi = Math.max(hi, this.#samples[i]);
      }
    }
    return [lo, hi];
  }

  #draw() {
    const { width, height } = this.#canvas;
    const style = getComputedStyle(this.#canvas);
    this.#ctx.fillStyle = style.backgroundColor;
    this.#ctx.fillRect(0, 0, width, height);
    this.#ctx.fillStyle = style.color;

    // The coarsest level whose blocks are still no wider than one pixel.
    const level = this.#pyramid.findLast(({ blockSize }) => blockSize <= this.#samplesPerPixel);
    const middle = height / 2;
    for (let x = 0; x < width; x++) {
      const from = this.#start + x * this.#samplesPerPixel;
      const [lo, hi] = this.#extremes(from, from + this.#samplesPerPixel, level);
      this.#ctx.fillRect(x, middle * (1 - hi), 1, Math.max(1, middle * (hi - lo)));
    }
  }
}
