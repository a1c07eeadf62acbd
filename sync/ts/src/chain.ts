/** What an outlet says of the agreements by which it buys. */
export interface OutletTerms {
  readonly agreementIds: readonly Uint8Array[];
  readonly inheritedAgreementIds: readonly Uint8Array[];
}

/** The agreements by which an outlet may buy: its own, or else those that it inherits from its chain. */
export function agreementsOf({ agreementIds, inheritedAgreementIds }: OutletTerms): readonly Uint8Array[] {
  return agreementIds.length > 0 ? agreementIds : inheritedAgreementIds;
}
