/**
 * <sortable-list>: a list whose rows can be reordered by pointer or keyboard.
 *
 * Markup:
 *   <sortable-list label="Running order">
 *     <div data-id="a1">Opening remarks</div>
 *     <div data-id="b2">Keynote</div>
 *   </sortable-list>
 *
 * Keyboard: Space lifts the focused row, arrow keys move it, Space drops it,
 * Escape puts it back where it was. Emits `reorder` with `detail.ids`.
 */
const template = document.createElement('template');
template.innerHTML = `
  <style>
    :host { display: block; position: relative; }
    ::slotted(*) { cursor: grab; touch-action: none; user-select: none; padding: .5rem 1rem; }
    ::slotted([aria-pressed="true"]) { outline: 2px solid Highlight; cursor: grabbing; }
    .status { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  </style>
  <slot></slot>
  <div class="status" role="status" aria-live="assertive"></div>
`;

class SortableList extends HTMLElement {
  static observedAttributes = ['label'];

  #status;
  #lifted = null;
  #restoreBefore = null;
  #abort = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    root.append(template.content.cloneNode(true));
    this.#status = root.querySelector('.status');
    root.querySelector('slot').addEventListener('slotchange', () => this.#prepareRows());
  }

  connectedCallback() {
    this.#abort = new AbortController();
    const { signal } = this.#abort;
    this.setAttribute('role', 'list');
    this.addEventListener('keydown', (event) => this.#onKeyDown(event), { signal });
    this.addEventListener('pointerdown', (event) => this.#onPointerDown(event), { signal });
  }

  disconnectedCallback() {
    this.#abort?.abort();
    this.#lifted = null;
  }

  attributeChangedCallback(_name, _previous, label) {
    this.setAttribute('aria-label', label ?? '');
  }

  get ids() {
    return Array.from(this.children, (row) => row.dataset.id);
  }

  #prepareRows() {
    for (const row of this.children) {
      row.setAttribute('role', 'listitem');
      row.tabIndex = 0;
    }
  }

  #lift(row) {
    this.#lifted = row;
    this.#restoreBefore = row.nextElementSibling;
    row.setAttribute('aria-pressed', 'true');
    this.#announce(`${row.textContent.trim()} lifted, position ${this.#position(row)}`);
  }

  #drop({ revert = false } = {}) {
    const row = this.#lifted;
    if (!row) return;
    const moved = row.nextElementSibling !== this.#restoreBefore;
    if (revert && moved) this.insertBefore(row, this.#restoreBefore);
    row.removeAttribute('aria-pressed');
    row.focus();
    this.#lifted = null;
    this.#announce(revert ? 'Move cancelled' : `Dropped at position ${this.#position(row)}`);
    if (moved && !revert) {
      this.dispatchEvent(new CustomEvent('reorder', { bubbles: true, detail: { ids: this.ids } }));
    }
  }

  #onKeyDown(event) {
    const row = event.target.closest('[role="listitem"]');
    if (!row || row.parentElement !== this) return;
    const previous = row.previousElementSibling;
    const next = row.nextElementSibling;

    switch (event.key) {
      case ' ':
        if (this.#lifted) this.#drop(); else this.#lift(row);
        break;
      case 'Escape':
        this.#drop({ revert: true });
        break;
      case 'ArrowUp':
        if (this.#lifted) { if (previous) this.#moveBefore(row, previous); } else previous?.focus();
        break;
      case 'ArrowDown':
        if (this.#lifted) { if (next) this.#moveBefore(row, next.nextElementSibling); } else next?.focus();
        break;
      default:
        return;
    }
    event.preventDefault();
  }

  #moveBefore(row, reference) {
    this.insertBefore(row, reference);
    row.focus();
    this.#announce(`Position ${this.#position(row)} of ${this.childElementCount}`);
  }

  #onPointerDown(event) {
    const row = event.target.closest('[role="listitem"]');
    if (!row || event.button !== 0 || this.#lifted) return;
    this.#lift(row);
    row.setPointerCapture(event.pointerId);

    const gesture = new AbortController();
    const options = { signal: gesture.signal };
    row.addEventListener('pointermove', ({ clientY }) => {
      const reference = [...this.children].find((other) => {
        const { top, height } = other.getBoundingClientRect();
        return other !== row && clientY < top + height / 2;
      });
      if (row.nextElementSibling !== (reference ?? null)) this.insertBefore(row, reference ?? null);
    }, options);
    row.addEventListener('pointerup', () => { gesture.abort(); this.#drop(); }, options);
    row.addEventListener('pointercancel', () => { gesture.abort(); this.#drop({ revert: true }); }, options);
  }

  #position(row) { return [...this.children].indexOf(row) + 1; }

  #announce(text) { this.#status.textContent = text; }
}

customElements.define('sortable-list', SortableList);
