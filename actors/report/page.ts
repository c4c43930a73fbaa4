/** The report as HTML and as CSV. */

export class Row {
  constructor(readonly code: string, readonly url: string, readonly clicks: i64) {}
}

const STYLE =
  "body{font:16px/1.5 system-ui,sans-serif;color:#1d2733;background:#f4f6f8;margin:0}" +
  "main{background:#fff;margin:3rem auto;padding:2rem 2.4rem;border-radius:14px;box-shadow:0 6px 30px #1d273318;" +
  "width:min(52rem,86vw);box-sizing:border-box}h1{margin:0;font-size:1.6rem}p{color:#5c6b7a;margin:.3rem 0 1.4rem}" +
  "a{color:#0b63ce;overflow-wrap:anywhere}table{width:100%;border-collapse:collapse;margin-top:1.8rem}" +
  "th,td{text-align:left;padding:.45rem .6rem;border-bottom:1px solid #e3e8ed;vertical-align:top}" +
  "td:last-child,th:last-child{text-align:right;font-variant-numeric:tabular-nums}" +
  ".days{display:flex;gap:.6rem;align-items:flex-end;height:8.5rem}.days div{flex:1;text-align:center;font-size:.8rem;" +
  "color:#5c6b7a}.days i{display:block;background:#0b63ce;border-radius:5px 5px 0 0;min-height:2px}";

const BAR_PX: i64 = 80;

export function page(rows: Row[], days: string[], perDay: i64[], when: string, note: string): string {
  let most: i64 = 1;
  for (let i = 0; i < perDay.length; i++) most = max(most, perDay[i]);
  let bars = "";
  for (let i = 0; i < days.length; i++) {
    const height = (perDay[i] * BAR_PX) / most;
    bars += `<div>${perDay[i]}<i style="height:${height}px"></i>${days[i].substring(5)}</div>`;
  }
  let lines = "";
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    const code = escaped(row.code);
    const url = escaped(row.url);
    lines += `<tr><td><a href="/${code}">${code}</a></td><td><a href="${url}">${url}</a></td><td>${row.clicks}</td></tr>`;
  }
  if (!rows.length) lines = '<tr><td colspan="3">No link was followed in these days.</td></tr>';
  return (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">' +
    '<meta name="viewport" content="width=device-width,initial-scale=1"><title>Links of the last week</title>' +
    `<style>${STYLE}</style></head><body><main><h1>Links of the last week</h1>` +
    `<p>Written ${when} UTC. <a href="/report/links.csv">As CSV</a>. <a href="/">Make a link</a>.</p>` +
    `<div class="days">${bars}</div>` +
    `<table><tr><th>Link</th><th>Leads to</th><th>Clicks</th></tr>${lines}</table>` +
    (note.length ? `<p>${note}</p>` : "") +
    "</main></body></html>\n"
  );
}

export function csv(rows: Row[]): string {
  let lines = "code,url,clicks\r\n";
  for (let i = 0; i < rows.length; i++) {
    // A code may begin with "-", which a spreadsheet would take for a formula.
    const code = rows[i].code.startsWith("-") ? "'" + rows[i].code : rows[i].code;
    lines += `${code},"${rows[i].url.replaceAll('"', '""')}",${rows[i].clicks}\r\n`;
  }
  return lines;
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
