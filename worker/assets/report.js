// Draws the report's curves with uPlot from the JSON in the page. Redraws when the theme or the width changes.
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("data").textContent);
  const home = document.getElementById("charts");
  if (!home || typeof uPlot === "undefined") return;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const show = (value) => (value == null ? "–" : Math.abs(value) >= 100 ? value.toFixed(1) : value.toPrecision(4));

  // A centred moving mean that never crosses a stage's edge.
  function smooth(values, bands) {
    const out = new Array(values.length).fill(null);
    for (const band of bands) {
      const reach = Math.max(1, Math.round((band.to - band.from) / 24));
      for (let i = band.from; i < band.to; i++) {
        const near = values.slice(Math.max(band.from, i - reach), Math.min(band.to, i + reach + 1)).filter((v) => v !== null);
        out[i] = near.length ? near.reduce((a, b) => a + b, 0) / near.length : null;
      }
    }
    return out;
  }

  // Lines break at the edges of stages: a null between them, which the horizontal axis skips by half a unit.
  function columns(chart) {
    const xs = [];
    const lines = chart.series.map(() => ({ raw: [], mean: [], at: [] }));
    const means = chart.series.map((s) => (chart.noisy ? smooth(s.values, chart.bands) : s.values));
    for (const band of chart.bands) {
      if (xs.length) {
        xs.push(band.from + 0.5);
        lines.forEach((l) => { l.raw.push(null); l.mean.push(null); l.at.push(-1); });
      }
      for (let i = band.from; i < band.to; i++) {
        xs.push(i + 1);
        lines.forEach((l, k) => { l.raw.push(chart.series[k].values[i]); l.mean.push(means[k][i]); l.at.push(i); });
      }
    }
    return { xs, lines };
  }

  // Fills go under the curves, words over them.
  function paintBands(chart, words) {
    return (u) => {
      const { ctx, bbox } = u;
      const dpr = uPlot.pxRatio;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
      ctx.clip();
      ctx.font = `${11 * dpr}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      chart.bands.forEach((band, k) => {
        const left = u.valToPos(band.from + 0.5, "x", true);
        const right = u.valToPos(band.to + 0.5, "x", true);
        const first = k === 0 || chart.bands[k - 1].pass !== band.pass;
        if (words) {
          ctx.fillStyle = colour("--soft");
          ctx.textBaseline = "top";
          ctx.fillText(fit(ctx, band.stage, right - left - 8 * dpr), left + 4 * dpr, bbox.top + 3 * dpr);
          ctx.textBaseline = "bottom";
          const pass = first ? fit(ctx, band.pass + " pass", bbox.left + bbox.width - left - 8 * dpr) : "";
          ctx.fillText(pass, left + 4 * dpr, bbox.top + bbox.height - 3 * dpr);
          return;
        }
        if (k % 2 === 0) {
          ctx.fillStyle = colour("--band");
          ctx.fillRect(left, bbox.top, right - left, bbox.height);
        }
        if (first && k > 0) {
          ctx.fillStyle = colour("--baseline");
          ctx.fillRect(left - dpr, bbox.top, 1.5 * dpr, bbox.height);
        }
      });
      ctx.restore();
    };
  }

  // Straight lines that end at a null. uPlot's own builder hides gaps with a clip, which leaves a hairline in narrow ones.
  function path(u, k, from, to) {
    const stroke = new Path2D();
    let pen = false;
    for (let i = from; i <= to; i++) {
      const value = u.data[k][i];
      if (value == null) {
        pen = false;
        continue;
      }
      const x = u.valToPos(u.data[0][i], "x", true);
      const y = u.valToPos(value, u.series[k].scale, true);
      if (pen) stroke.lineTo(x, y);
      else stroke.moveTo(x, y);
      pen = true;
    }
    return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 };
  }

  function fit(ctx, words, width) {
    if (ctx.measureText(words).width <= width) return words;
    for (let n = words.length - 1; n > 3; n--) {
      const cut = words.slice(0, n) + "…";
      if (ctx.measureText(cut).width <= width) return cut;
    }
    return "";
  }

  // The colour of uPlot's series k (0 is the horizontal axis); iterations have two series for one value.
  function ink(chart, k) {
    return chart.noisy ? colour("--grpo") + (k === 1 ? "66" : "") : colour(k === 1 ? "--grpo" : "--sft");
  }

  function series(chart) {
    const list = [{ label: chart.unit, value: (_, v) => (v == null ? "–" : String(v)) }];
    chart.series.forEach((s, k) => {
      const value = (_, v) => show(v);
      if (chart.noisy) {
        list.push({ label: s.label, stroke: ink(chart, 1), width: 1, value, paths: path, points: { show: false } });
        list.push({ label: "moving mean", stroke: ink(chart, 2), width: 2.25, value, paths: path, points: { show: false } });
      } else {
        list.push({ label: s.label, stroke: ink(chart, k + 1), width: 2, value, paths: path, points: { show: true, size: 6, fill: ink(chart, k + 1) } });
      }
    });
    return list;
  }

  function options(chart, width, said, at) {
    const axis = {
      stroke: colour("--soft"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 },
      font: "12px system-ui, sans-serif",
    };
    const points = chart.bands.length ? chart.bands[chart.bands.length - 1].to : 1;
    const notes = chart.series[0].notes;
    return {
      width, height: Math.max(200, Math.min(280, Math.round(width * 0.5))),
      scales: {
        x: { time: false, range: (_, low, high) => (low == null || low === high ? [0.5, points + 0.5] : [Math.max(0.5, low - 0.5), Math.min(points + 0.5, high + 0.5)]) },
        y: { range: (_, low, high) => { const room = (high - low || Math.abs(high) || 1) * 0.14; return [low - room * 1.2, high + room * 1.6]; } },
      },
      axes: [
        { ...axis, size: 30, space: 60, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000] },
        { ...axis, size: 54, values: (_, vs) => vs.map((v) => String(Number(v.toPrecision(6)))) },
      ],
      series: series(chart),
      legend: { live: true, markers: { width: 0, fill: (_, k) => ink(chart, k) } },
      cursor: { y: false, points: { size: 6 } },
      hooks: {
        drawClear: [paintBands(chart, false)],
        draw: [paintBands(chart, true)],
        setCursor: notes ? [(u) => {
          const i = u.cursor.idx == null ? -1 : at[u.cursor.idx];
          said.textContent = i >= 0 ? notes[i] : "";
        }] : [],
      },
    };
  }

  let drawn = [];
  function draw() {
    drawn.forEach((u) => u.destroy());
    home.textContent = "";
    drawn = charts.map((chart) => {
      const figure = document.createElement("figure");
      if (!chart.noisy) figure.className = "wide";
      const caption = document.createElement("figcaption");
      const hint = document.createElement("span");
      hint.textContent = " · " + chart.hint;
      caption.append(chart.title, hint);
      const frame = document.createElement("div");
      frame.className = "plot";
      const said = document.createElement("p");
      said.className = "said";
      figure.append(caption, frame);
      if (!chart.noisy) figure.append(said);
      home.append(figure);
      const { xs, lines } = columns(chart);
      const data = [xs, ...lines.flatMap((l) => (chart.noisy ? [l.raw, l.mean] : [l.raw]))];
      return new uPlot(options(chart, Math.max(240, figure.clientWidth), said, lines[0].at), data, frame);
    });
  }

  let width = home.clientWidth;
  let waiting = 0;
  window.addEventListener("resize", () => {
    if (home.clientWidth === width) return;
    width = home.clientWidth;
    clearTimeout(waiting);
    waiting = setTimeout(draw, 120);
  });
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    window.matchMedia(query).addEventListener("change", draw);
  }
  draw();
})();
