// Tells when the page will not change any more, so that nobody has to sleep before taking its picture.

let inFlight = 0;
let reports = 0;

/** Count the requests of everything on the page: Grafana's icons come by fetch as well. */
export function watchRequests(): void {
  const original = window.fetch.bind(window);
  window.fetch = async (...args) => {
    inFlight += 1;
    try {
      return await original(...args);
    } finally {
      inFlight -= 1;
    }
  };
}

/** What was thrown where nothing catches it: a plot is painted after React has gone. */
export function watchErrors(): string[] {
  const thrown: string[] = [];
  window.addEventListener('error', ({ message, error }) => {
    // The browser's way to say that a layout took two rounds.
    if (!message.startsWith('ResizeObserver loop')) {
      thrown.push(String(error?.stack ?? message));
    }
  });
  window.addEventListener('unhandledrejection', ({ reason }) => thrown.push(String(reason?.stack ?? reason)));
  return thrown;
}

/** Text on a canvas is painted once, with the fonts there are by then. */
export async function loadFonts(): Promise<void> {
  const from = (name: string) => `url('public/fonts/${name}.woff2') format('woff2')`;
  const faces = [
    new FontFace('Inter', from('inter/Inter-Regular'), { weight: '400' }),
    new FontFace('Inter', from('inter/Inter-Medium'), { weight: '500' }),
  ];
  for (const face of faces) {
    document.fonts.add(await face.load());
  }
}

/** A panel says that it has drawn what it will draw. */
export function panelSettled(): void {
  reports += 1;
}

const frame = () => new Promise<void>((resolve) => requestAnimationFrame(() => resolve()));

/** Resolves when `panels` panels have reported, fonts are there and no request was under way for ten frames. */
export async function settled(panels: number): Promise<void> {
  let quiet = 0;
  while (quiet < 10) {
    await frame();
    quiet = reports >= panels && inFlight === 0 ? quiet + 1 : 0;
  }
  await document.fonts.ready;
  await frame();
}
