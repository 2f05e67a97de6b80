// Prometheus's HTTP API: https://prometheus.io/docs/prometheus/latest/querying/api/

export type Labels = Record<string, string>;

/** One series: `values` are pairs of seconds since 1970 and the number as text. */
export interface Series {
  metric: Labels;
  values: Array<[number, string]>;
}

/** What Prometheus answered instead of data; its message is its own. */
export class PrometheusError extends Error {}

interface Answer<T> {
  status: string;
  data?: T;
  error?: string;
}

type Result =
  | { resultType: 'matrix'; result: Series[] }
  | { resultType: 'vector'; result: Array<{ metric: Labels; value: [number, string] }> }
  | { resultType: 'scalar' | 'string'; result: [number, string] };

export class Prometheus {
  constructor(private readonly address: string) {}

  /** Values at each `stepSeconds` between two times in seconds. */
  async range(query: string, start: number, end: number, stepSeconds: number): Promise<Series[]> {
    const form = { query, start: String(start), end: String(end), step: String(stepSeconds) };
    return toSeries(await this.ask<Result>('query_range', form));
  }

  /** Values at one time in seconds. */
  async instant(query: string, time: number): Promise<Series[]> {
    return toSeries(await this.ask<Result>('query', { query, time: String(time) }));
  }

  async labelValues(label: string, match: string, start: number, end: number): Promise<string[]> {
    const form: Record<string, string> = { start: String(start), end: String(end) };
    if (match) {
      form['match[]'] = match;
    }
    const path = `label/${encodeURIComponent(label)}/values?${new URLSearchParams(form)}`;
    return this.read<string[]>(await fetch(`${this.address}/api/v1/${path}`));
  }

  private async ask<T>(path: string, form: Record<string, string>): Promise<T> {
    const body = new URLSearchParams(form);
    return this.read<T>(await fetch(`${this.address}/api/v1/${path}`, { method: 'POST', body }));
  }

  private async read<T>(response: Response): Promise<T> {
    const text = await response.text();
    let answer: Answer<T>;
    try {
      answer = JSON.parse(text);
    } catch {
      throw new PrometheusError(`${response.status} ${response.statusText}: ${text.slice(0, 200)}`);
    }
    if (answer.status !== 'success' || answer.data === undefined) {
      throw new PrometheusError(answer.error ?? `${response.status} ${response.statusText}`);
    }
    return answer.data;
  }
}

function toSeries(data: Result): Series[] {
  switch (data.resultType) {
    case 'matrix':
      return data.result;
    case 'vector':
      return data.result.map(({ metric, value }) => ({ metric, values: [value] }));
    default:
      return [{ metric: {}, values: [data.result] }];
  }
}
