// A session of the official browser SDK, unchanged, in Debian's Chromium:
//   node browser_session.mjs PAGE_URL COLLECTOR_URL WRITE_KEY batching|standard PROFILE_FOLDER
import { chromium } from 'playwright-core'

const [pageUrl, collector, writeKey, strategy, profile] = process.argv.slice(2)
const context = await chromium.launchPersistentContext(profile, {
  executablePath: '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
  ],
})
const page = context.pages()[0]
page.on('console', (message) => console.error(message.text()))
page.on('pageerror', (error) => console.error(error))
await page.goto(pageUrl)
await page.waitForFunction(() => window.AnalyticsNext !== undefined)
const answered = page.waitForResponse(
  (response) => response.url().startsWith(`${collector}/v1/`) && response.request().method() === 'POST',
)
await page.evaluate(
  async ({ collector, writeKey, strategy }) => {
    const [analytics] = await window.AnalyticsNext.AnalyticsBrowser.load(
      { writeKey, cdnURL: collector },
      strategy === 'batching'
        ? { integrations: { 'Segment.io': { deliveryStrategy: { strategy, config: { size: 5, timeout: 200 } } } } }
        : {},
    )
    await analytics.page('Docs', 'Ingestion')
    await analytics.track('Product Viewed', { sku: 'S1' })
    await analytics.track('Order Completed', { order_id: 'b1', total: 0.1 + 0.2, currency: 'EUR' })
    await analytics.identify('browser-1', { email: 'Browser@Example.com' })
    await analytics.group('acct-9', { name: 'AE' })
  },
  { collector, writeKey, strategy },
)
// Of a batch, the calls return before it is sent.
await answered
await context.close()
