<?php

declare(strict_types=1);

namespace Treasury\Tests;

use PHPUnit\Framework\Attributes\DataProvider;
use PHPUnit\Framework\Attributes\TestDox;
use PHPUnit\Framework\TestCase;
use Treasury\Reconciliation\BankLine;
use Treasury\Reconciliation\BatchReconciler;
use Treasury\Reconciliation\Invoice;
use Treasury\Reconciliation\MatchKind;
use Treasury\Reconciliation\Tolerance;

/**
 * The reconciler pairs lines of a bank statement with open invoices. Amounts are
 * integers in cents throughout; a payment may cover several invoices, and bank
 * charges may leave it a little short.
 */
#[TestDox('Reconciling a bank statement')]
final class BatchReconcilerTest extends TestCase
{
    private BatchReconciler $reconciler;

    protected function setUp(): void
    {
        $this->reconciler = new BatchReconciler(new Tolerance(cents: 300, days: 45));
    }

    #[TestDox('an exact amount with the invoice number in the reference is certain')]
    public function testExactReference(): void
    {
        $invoice = self::invoice('R-2031-0417', cents: 129_900);
        $result = $this->reconciler->reconcile(
            lines: [self::line(129_900, 'Payment R-2031-0417, thank you')],
            invoices: [$invoice, self::invoice('R-2031-0418', cents: 129_900)],
        );

        self::assertCount(1, $result->matches);
        self::assertSame(MatchKind::Certain, $result->matches[0]->kind);
        self::assertSame([$invoice], $result->matches[0]->invoices);
        self::assertSame([], $result->unmatchedLines);
    }

    /** @return iterable<string, array{string}> */
    public static function mangledReferences(): iterable
    {
        yield 'without separators' => ['R20310417'];
        yield 'lower case, spaced' => ['inv r 2031 0417'];
        yield 'broken across bank fields' => ["RE: R-2031-\n0417"];
        yield 'letter O for zero' => ['R-2O31-O417'];
    }

    #[DataProvider('mangledReferences')]
    public function testReferenceIsFoundInSpiteOfMangling(string $reference): void
    {
        $result = $this->reconciler->reconcile(
            [self::line(5_000, $reference)],
            [self::invoice('R-2031-0417', 5_000), self::invoice('R-2031-0471', 5_000)],
        );

        self::assertSame('R-2031-0417', $result->matches[0]->invoices[0]->number);
    }

    public function testOnePaymentMaySettleSeveralInvoicesOfOneCustomer(): void
    {
        $invoices = [
            self::invoice('R-1', 40_000, customer: 'K-77'),
            self::invoice('R-2', 25_050, customer: 'K-77'),
            self::invoice('R-3', 31_000, customer: 'K-77'),
            self::invoice('R-4', 31_000, customer: 'K-80'),
        ];
        $result = $this->reconciler->reconcile([self::line(71_000, 'various', payer: 'K-77')], $invoices);

        self::assertSame(MatchKind::Combined, $result->matches[0]->kind);
        self::assertSame(['R-1', 'R-3'], array_column($result->matches[0]->invoices, 'number'));
    }

    public function testBankChargesWithinToleranceAreBookedAsDifference(): void
    {
        $result = $this->reconciler->reconcile(
            [self::line(99_750, 'R-9')],
            [self::invoice('R-9', 100_000)],
        );

        self::assertSame(-250, $result->matches[0]->differenceCents);
    }

    public function testShortfallBeyondToleranceIsAPartialPayment(): void
    {
        $result = $this->reconciler->reconcile(
            [self::line(99_699, 'R-9')],
            [self::invoice('R-9', 100_000)],
        );

        self::assertSame(MatchKind::Partial, $result->matches[0]->kind);
        self::assertSame(301, $result->openCents('R-9'));
    }

    public function testAmbiguityIsLeftToAPerson(): void
    {
        $line = self::line(31_000, 'monthly fee', payer: null);
        $result = $this->reconciler->reconcile(
            [$line],
            [self::invoice('R-3', 31_000, customer: 'K-77'), self::invoice('R-4', 31_000, customer: 'K-80')],
        );

        self::assertSame([], $result->matches);
        self::assertSame([$line], $result->unmatchedLines);
        self::assertEqualsCanonicalizing(['R-3', 'R-4'], $result->suggestionsFor($line));
    }

    public function testReversalReopensTheInvoice(): void
    {
        $result = $this->reconciler->reconcile(
            [self::line(8_000, 'R-12', day: '2031-05-02'), self::line(-8_000, 'RETURNED R-12', day: '2031-05-06')],
            [self::invoice('R-12', 8_000)],
        );

        self::assertSame(8_000, $result->openCents('R-12'));
        self::assertSame(
            [MatchKind::Certain, MatchKind::Reversal],
            array_column($result->matches, 'kind'),
        );
    }

    #[TestDox('the outcome does not depend on the order of the statement')]
    public function testOrderIndependence(): void
    {
        $lines = [self::line(100, 'R-1'), self::line(200, 'R-2'), self::line(300, 'R-1 R-2 rest', payer: 'K-1')];
        $invoices = [self::invoice('R-1', 100), self::invoice('R-2', 200), self::invoice('R-5', 300)];

        $forwards = $this->reconciler->reconcile($lines, $invoices);
        $backwards = $this->reconciler->reconcile(array_reverse($lines), $invoices);

        self::assertEqualsCanonicalizing($forwards->settledNumbers(), $backwards->settledNumbers());
    }

    private static function invoice(string $number, int $cents, string $customer = 'K-1'): Invoice
    {
        return new Invoice($number, $customer, $cents, issuedOn: new \DateTimeImmutable('2031-04-20'));
    }

    private static function line(int $cents, string $text, ?string $payer = 'K-1', string $day = '2031-05-02'): BankLine
    {
        return new BankLine(new \DateTimeImmutable($day), $cents, $text, $payer);
    }
}
