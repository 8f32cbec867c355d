// Opens pages in Chromium, as a file and without network, on a desktop and a phone, light and dark.
//
//   node check.mjs OUT PAGE...        CHROMIUM names the browser; "chromium" on the path otherwise
//
// Writes a picture of each into OUT and ends with 1 where the console shows an error, a page asks for anything, something
// sticks out sideways, a table of numbers is wider than the page, the viewer cannot be used by keyboard, or axe-core finds a fault.
import { mkdtempSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const screens = { desktop: { width: 1200, height: 900 }, phone: { width: 390, height: 844 } };
const [out, ...pages] = process.argv.slice(2);
const faults = [];
mkdirSync(out, { recursive: true });

for (const [screen, viewport] of Object.entries(screens)) {
  for (const colorScheme of ["light", "dark"]) {
    const context = await chromium.launchPersistentContext(mkdtempSync(join(tmpdir(), "vu-browser-")), {
      executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
      headless: true, viewport, colorScheme, offline: true,
      isMobile: screen === "phone", hasTouch: screen === "phone",
    });
    for (const page of pages) await check(context, resolve(page), `${screen}-${colorScheme}`);
    await context.close();
  }
}
for (const fault of faults) console.error(`FAULT ${fault}`);
console.log(`${pages.length} pages, ${faults.length} faults; pictures in ${out}`);
process.exitCode = faults.length ? 1 : 0;

async function check(context, path, setting) {
  const name = `${basename(dirname(path))}-${basename(path, ".html")}-${setting}`;
  const fault = (text) => faults.push(`${name}: ${text}`);
  const page = await context.newPage();
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && fault(`console: ${message.text()}`));
  page.on("pageerror", (error) => fault(`script: ${error.message}`));
  page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || fault(`asks for ${request.url()}`));
  await page.goto(pathToFileURL(path).href);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  if (sideways > 0) fault(`${sideways} pixels stick out sideways`);
  const wide = await page.locator(".stack").evaluateAll((tables) => tables.filter((t) => t.scrollWidth > t.parentElement.clientWidth).length);
  if (wide) fault(`${wide} tables of numbers are wider than the page`);
  await page.screenshot({ path: join(out, `${name}.png`) });
  await page.screenshot({ path: join(out, `${name}-whole.png`), fullPage: true });
  await accessible(page, fault);
  if (await page.locator("button.open").count()) await viewer(page, fault, join(out, `${name}-viewer.png`));
  if (await page.locator("#wipe").count()) await overlay(page, fault, join(out, `${name}-over.png`));
  await page.close();
}

async function accessible(page, fault) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document));
  for (const found of violations) {
    fault(`axe ${found.impact} ${found.id}: ${found.help} (${found.nodes.length}: ${found.nodes[0].html.slice(0, 160)})`);
  }
}

async function overlay(page, fault, picture) {
  await page.locator("input[value=over]").check();
  await page.locator("#wipe").focus();
  for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowLeft");
  const wipe = await page.locator("#pictures").evaluate((pictures) => getComputedStyle(pictures).getPropertyValue("--wipe"));
  if (wipe !== "30%") fault(`the pictures are divided at ${wipe} after twenty presses, not at 30%`);
  await page.locator("#pictures").screenshot({ path: picture });
  await accessible(page, fault);
}

async function viewer(page, fault, picture) {
  const first = page.locator("button.open").last();
  await first.evaluate((button) => button.closest("details").setAttribute("open", ""));
  await first.focus();
  await page.keyboard.press("Enter");
  if (!(await page.locator("#viewer").evaluate((dialog) => dialog.open))) return fault("Enter opens no viewer");
  await page.locator("#viewer-at").focus();
  for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowRight");
  const at = await page.locator(".pile").evaluate((pile) => getComputedStyle(pile).getPropertyValue("--at"));
  if (at !== "60%") fault(`the divider is at ${at} after ten presses, not at 60%`);
  await page.locator("#viewer-zoom").focus();
  const before = await page.locator(".pile").evaluate((pile) => pile.clientWidth);
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowRight");
  const after = await page.locator(".pile").evaluate((pile) => pile.clientWidth);
  if (Math.abs(after / before - 2) > 0.05) fault(`zooming twofold went from ${before} to ${after} pixels`);
  for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowLeft");
  const title = await page.locator("#viewer-title").textContent();
  await page.locator("[data-do=previous]").press("Enter");
  const titles = await page.locator(".gallery").last().locator("figcaption").count();
  if (titles > 1 && title === (await page.locator("#viewer-title").textContent())) fault("'Previous' shows the same picture");
  await page.screenshot({ path: picture });
  await accessible(page, fault);
  await page.keyboard.press("Escape");
  if (await page.locator("#viewer").evaluate((dialog) => dialog.open)) fault("Escape does not close the viewer");
  if (!(await first.evaluate((button) => button === document.activeElement))) fault("closing does not give the focus back");
}
