"""What an engineer would write in an afternoon: asyncio Playwright, one browser, read, click, reload, read."""

from __future__ import annotations

import asyncio
import json
import sys

from playwright.async_api import async_playwright


async def main() -> None:
    order = json.load(sys.stdin)
    rules = ", ".join([*(f"MAP {host} {to}" for host, to in order["resolve"].items()), "MAP * ~NOTFOUND"])
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=order["executable"],
            args=[f"--host-resolver-rules={rules}", f"--ignore-certificate-errors-spki-list={order['spki']}"],
        )
        limit = asyncio.Semaphore(order["at_a_time"])

        async def one(state: dict) -> None:
            async with limit:
                context = await browser.new_context(storage_state=state)
                page = await context.new_page()
                await page.goto(order["page"])
                switch = page.locator(order["css"])
                if await switch.is_checked():
                    async with page.expect_response(lambda response: response.request.method == "PUT"):
                        await switch.click()
                await page.reload()
                assert not await switch.is_checked()
                await context.close()

        await asyncio.gather(*(one(state) for state in order["states"]))
        await browser.close()


asyncio.run(main())
