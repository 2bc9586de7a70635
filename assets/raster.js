// What a sprite looks like upright: an emoji's glyph, or a reaction's own picture.

/** Transparent pixels around a glyph: it reaches past its box, and edges need a neighbour. */
const PAD_PX = 4;
/** No glyph is drawn on a longer side than this, in device pixels. */
const SIDE_MAX_PX = 2048;
/** A sprite that grows is drawn anew at every second power of the square root of 2, up to 2^(LEVELS - 1) / 2. */
const LEVELS = 7;
/** A sprite may be drawn so many times larger than its raster is before there is another one. */
const SLACK = 1.05;

/** A picture is at most so many times as wide as its box is high; a wider one is drawn lower. */
const WIDTH_PER_HEIGHT_MAX = 4;
/** A picture with more frames stands still. */
const FRAMES_MAX = 1000;
/** A larger file is refused, in bytes. */
const FILE_BYTES_MAX = 16 << 20;
/** All frames of all pictures of a layer together, at their size; what is beyond it stands still. */
const FRAME_BYTES_MAX = 128 << 20;
/** A frame of up to this long ... */
const TOO_SHORT_MS = 10;
/** ... shows for so long instead, as in browsers. */
const INSTEAD_MS = 100;
const FETCH_TIMEOUT_MS = 30_000;

/** One emoji, drawn from the font once for each size that it is needed in. */
export class Glyph {
  #emoji;
  #font;
  #rasters = new Array(LEVELS);

  /**
   * @param {string} emoji
   * @param {{ruler: HTMLElement, marker: HTMLElement, scale: number}} measure `ruler` has the
   *   sprite's class, and `marker`, its last child, stands on the base line; `scale` is device
   *   pixels per px
   */
  constructor(emoji, { ruler, marker, scale }) {
    this.#emoji = emoji;
    ruler.replaceChildren(emoji, marker);
    const { fontStyle, fontWeight, fontSize, fontFamily, color } = getComputedStyle(ruler);
    const box = ruler.getBoundingClientRect();
    /** Of the box, in device pixels. */
    this.width = box.width * scale;
    this.height = box.height * scale;
    const baseline = Math.round((marker.getBoundingClientRect().bottom - box.top) * scale);
    this.#font = { fontStyle, fontWeight, fontFamily, color, sizePx: parseFloat(fontSize) * scale, baseline };
  }

  /** Draws the sprite that is `scale` times as large, its box's centre at 0, 0. */
  draw(context, scale) {
    let level = 0;
    while (level < LEVELS - 1 && 2 ** (level / 2) * SLACK < scale) level++;
    const { image, x, y, width, height } = this.#rasters[level] ??= this.#raster(2 ** (level / 2));
    context.drawImage(image, x, y, width, height);
  }

  #raster(wanted) {
    const { width, height } = this;
    const factor = Math.max(1, Math.min(wanted, SIDE_MAX_PX / Math.max(width, height)));
    const { fontStyle, fontWeight, fontFamily, color, sizePx, baseline } = this.#font;
    const pad = Math.ceil(PAD_PX * factor);
    const image = document.createElement('canvas');
    image.width = Math.ceil(width * factor) + 2 * pad;
    image.height = Math.ceil(height * factor) + 2 * pad;
    const context = image.getContext('2d');
    context.font = `${fontStyle} ${fontWeight} ${sizePx * factor}px ${fontFamily}`;
    context.fillStyle = color;
    context.fillText(this.#emoji, pad, pad + baseline * factor);
    return {
      image,
      x: -width / 2 - pad / factor,
      y: -height / 2 - pad / factor,
      width: image.width / factor,
      height: image.height / factor,
    };
  }
}

/** What the frames of a layer's pictures may still take. */
export class FrameBudget {
  bytes = FRAME_BYTES_MAX;
}

/** The picture of a reaction, from its address; animated if the browser can tell its frames. */
export class Picture {
  #url;
  #budget;
  #frames = [];
  /** When each frame ends, from the start of one play, in ms. */
  #ends = [];
  #plays = Infinity;
  #source;
  #size = { width: 0, height: 0 };
  #making = Promise.resolve();

  /** Width by height; undefined until the picture is there. */
  aspect;
  /** Whether there will be no picture. */
  failed = false;

  /**
   * @param {URL} url
   * @param {FrameBudget} budget shared with the other pictures
   */
  constructor(url, budget) {
    this.#url = url;
    this.#budget = budget;
  }

  /** Gets the picture; resolves when `aspect` is known, or the picture has `failed`. */
  async load() {
    try {
      this.#source = await this.#fetch();
      const { width, height } = this.#source;
      if (!(width > 0 && height > 0)) throw new Error('it has no size');
      this.aspect = width / height;
    } catch (error) {
      this.failed = true;
      console.warn('floatup: picture:', this.#url.href, String(error));
    }
  }

  /** Width and height in whole pixels, in a box that is `height` pixels high (src/artwork.rs). */
  size(height) {
    const boxHeight = Math.max(1, height);
    const width = Math.min(boxHeight * this.aspect, boxHeight * WIDTH_PER_HEIGHT_MAX);
    const side = (length) => Math.max(1, Math.round(length));
    return { width: side(width), height: side(Math.min(boxHeight, width / this.aspect)) };
  }

  /** Makes the frames in this size, in pixels, or its own if that is smaller. What there is now stays until then. */
  prepare(width, height) {
    const factor = Math.min(1, this.#source.width / width, this.#source.height / height);
    // A drawing has no size of its own.
    const own = this.#source.isDrawing ? 1 : factor;
    const size = { width: Math.max(1, Math.round(width * own)), height: Math.max(1, Math.round(height * own)) };
    if (size.width === this.#size.width && size.height === this.#size.height) return;
    this.#size = size;
    this.#making = this.#making.then(() => this.#make(size)).catch((error) => {
      console.warn('floatup: picture:', this.#url.href, String(error));
    });
  }

  /** Resolves when the frames that were asked for are there. */
  get ready() {
    return this.#making;
  }

  /** The frame that shows at this age of its sprite; undefined while there is none. */
  at(ageMs) {
    const ends = this.#ends;
    const last = ends.length - 1;
    if (last <= 0) return this.#frames[0];
    const play = ends[last];
    if (ageMs / play >= this.#plays) return this.#frames[last];
    const into = ageMs % play;
    let i = 0;
    while (i < last && ends[i] <= into) i++;
    return this.#frames[i];
  }

  async #fetch() {
    const response = await fetch(this.#url, { signal: AbortSignal.timeout(FETCH_TIMEOUT_MS) });
    if (!response.ok) throw new Error(`answer ${response.status}`);
    const blob = await response.blob();
    if (blob.size > FILE_BYTES_MAX) throw new Error(`${blob.size} bytes, more than ${FILE_BYTES_MAX}`);
    const type = (response.headers.get('Content-Type') ?? blob.type).split(';')[0].trim();
    if (globalThis.ImageDecoder && await ImageDecoder.isTypeSupported(type)) {
      const data = await blob.arrayBuffer();
      const open = () => new ImageDecoder({ data, type, preferAnimation: true });
      const decoder = open();
      try {
        const { image } = await decoder.decode({ frameIndex: 0 });
        const { displayWidth: width, displayHeight: height } = image;
        image.close();
        return { width, height, open };
      } finally {
        decoder.close();
      }
    }
    // The first frame alone, or a drawing.
    const image = new Image();
    image.crossOrigin = 'anonymous';
    image.src = this.#url.href;
    await image.decode();
    return { width: image.naturalWidth, height: image.naturalHeight, image, isDrawing: type === 'image/svg+xml' };
  }

  async #make(size) {
    // A newer size has been asked for.
    if (size !== this.#size) return;
    const { open, image } = this.#source;
    const had = this.#frames.reduce((bytes, frame) => bytes + bytesOf(frame), 0);
    const frames = [];
    const ends = [];
    let plays = Infinity;
    const bytes = size.width * size.height * 4;
    if (open === undefined) {
      frames.push(scaled(image, size));
      ends.push(INSTEAD_MS);
    } else {
      const decoder = open();
      try {
        await Promise.all([decoder.tracks.ready, decoder.completed]);
        const { frameCount, repetitionCount } = decoder.tracks.selectedTrack;
        const isTooMuch = frameCount > FRAMES_MAX || frameCount * bytes > this.#budget.bytes + had;
        if (isTooMuch && frameCount > 1) console.warn(`floatup: picture: ${this.#url.href} stands still: ${frameCount} frames are too many`);
        for (let frameIndex = 0, end = 0; frameIndex < (isTooMuch ? 1 : frameCount); frameIndex++) {
          const { image: frame } = await decoder.decode({ frameIndex });
          const shownMs = (frame.duration ?? 0) / 1000;
          end += shownMs <= TOO_SHORT_MS ? INSTEAD_MS : shownMs;
          frames.push(scaled(frame, size));
          ends.push(end);
          frame.close();
        }
        plays = repetitionCount + 1;
      } finally {
        decoder.close();
      }
    }
    this.#budget.bytes += had - frames.length * bytes;
    this.#frames = frames;
    this.#ends = ends;
    this.#plays = plays;
  }
}

function bytesOf({ width, height }) {
  return width * height * 4;
}

function scaled(image, { width, height }) {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d');
  context.imageSmoothingQuality = 'high';
  context.drawImage(image, 0, 0, width, height);
  return canvas;
}
