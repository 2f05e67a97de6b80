// "text": markdown or HTML, made safe by the library.

import { renderMarkdown } from '@grafana/data';
import { RenderUserContentAsHTML } from '@grafana/ui';

import type { VizProps } from './props';

export function TextViz({ options, replaceVariables, height }: VizProps) {
  const content = replaceVariables(options.content ?? '');
  const html = options.mode === 'html' ? content : renderMarkdown(content);
  return <RenderUserContentAsHTML className="markdown-html" content={html} style={{ height, overflow: 'hidden' }} />;
}
