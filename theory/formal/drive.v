(** The drive: at equal logits, what attention inside a set gains over attention across sets.

    Label of the book        theorem here
    thm-drive, its counts    pair_counts: pairs in the signal set, outside, and between
    thm-drive, averaged      drive_of_pairs (any weight that does not tell random patches apart)
    thm-drive                drive (the network at gamma = rho)

    Everything is given the label +1 and the signal set l, of C patches; n patches are random.  W x
    is the weight of the image x, its probability times sig(-F) or any other function that permuting
    the random patches leaves as it is; phi x a a' stands for g(a) a' with the g of the book. *)

From mathcomp Require Import all_ssreflect all_fingroup all_algebra.
From mathcomp Require Import ring.
From Formal Require Import order model symmetry gradient frozen reduction.

Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.

Import GRing.Theory Num.Theory Order.Theory.
Local Open Scope ring_scope.

Section Drive.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat) (l : I).
Hypotheses (eqC : equal part C) (C_gt1 : (1 < C)%N) (L_gt1 : (1 < #|I|)%N).

Let D : R := #|T|%:R.
Let c : R := C%:R.
Let n : R := D - c.

Notation image := {ffun T -> feature}.
Definition random j := part j != l.
Definition along (h : {perm T}) (x : image) : image := [ffun j => x (h j)].
Definition keeps_signal (h : {perm T}) := forall j, ~~ random j -> h j = j.

Variables (W : image -> R) (phi : image -> feature -> feature -> R).
Hypothesis W_signal : forall x j, ~~ random j -> W x != 0 -> x j = Some true.
Hypothesis W_along : forall h x, keeps_signal h -> W (along h x) = W x.
Hypothesis phi_along : forall h x, keeps_signal h -> phi (along h x) =2 phi x.

Definition pair i j := \sum_x W x * phi x (x i) (x j).
Definition both x := phi x (Some true) (Some true).

Lemma along_inj h : injective (along h).
Proof. by move=> x y /ffunP e; apply/ffunP=> j; have := e (h^-1%g j); rewrite !ffunE permKV. Qed.

(** Random patches are exchangeable. *)
Lemma pair_along h i j : keeps_signal h -> pair (h i) (h j) = pair i j.
Proof.
move=> keep; rewrite /pair [RHS](reindex_inj (@along_inj h)); apply: eq_bigr => x _.
by rewrite W_along // phi_along // !ffunE.
Qed.

Lemma tperm_keeps i j : random i -> random j -> keeps_signal (tperm i j).
Proof. by move=> ri rj k; case: tpermP => // ->; rewrite ?ri ?rj. Qed.

Variables i0 j0 : T.
Hypotheses (ri : random i0) (rj : random j0) (nij : i0 != j0).
Variable s0 : T.
Hypothesis signal0 : ~~ random s0.

Lemma pair_random i j : random i -> random j -> i != j -> pair i j = pair i0 j0.
Proof.
move=> Ri Rj dij; rewrite -(pair_along i j (tperm_keeps Ri ri)) tpermL.
have Rk : random (tperm i i0 j) by case: tpermP.
have dk : tperm i i0 j != i0 by rewrite -(inj_eq (@perm_inj _ (tperm i i0))) tpermK tpermR eq_sym.
rewrite -(pair_along i0 _ (tperm_keeps Rk rj)) tpermL; congr pair.
by rewrite tpermD // eq_sym.
Qed.

Lemma pair_signal i j : ~~ random i -> ~~ random j -> pair i j = \sum_x W x * both x.
Proof.
move=> Si Sj; apply: eq_bigr => x _; have [->|nz] := eqVneq (W x) 0; first by rewrite !mul0r.
by rewrite /both (W_signal Si nz) (W_signal Sj nz).
Qed.

Lemma pair_from_signal i j : ~~ random i -> random j -> pair i j = pair s0 j0.
Proof.
move=> Si Rj; rewrite -(pair_along i j (tperm_keeps Rj rj)) tpermL (tperm_keeps Rj rj) //;
  apply: eq_bigr => x _.
have [->|nz] := eqVneq (W x) 0; first by rewrite !mul0r.
by rewrite (W_signal Si nz) (W_signal signal0 nz).
Qed.

Lemma pair_to_signal i j : random i -> ~~ random j -> pair i j = pair i0 s0.
Proof.
move=> Ri Sj; rewrite -(pair_along i j (tperm_keeps Ri ri)) tpermL (tperm_keeps Ri ri) //;
  apply: eq_bigr => x _.
have [->|nz] := eqVneq (W x) 0; first by rewrite !mul0r.
by rewrite (W_signal Sj nz) (W_signal signal0 nz).
Qed.

Let f11 := \sum_x W x * both x.
Let f1x := pair s0 j0.
Let fx1 := pair i0 s0.
Let fxx := pair i0 j0.

Lemma signal_count : \sum_(j | ~~ random j) (1 : R) = c.
Proof.
rewrite /c -(ones_in_set R eqC l); apply: eq_bigl => j.
by rewrite /random negbK.
Qed.

Lemma random_count : \sum_(j | random j) (1 : R) = n.
Proof.
have -> : n = \sum_(j : T) 1 - c by rewrite sumr_const.
by rewrite [X in _ = X - _](bigID random) /= signal_count addrK.
Qed.

(** Sums over pairs inside sets and across, with the value of a pair by where its patches are. *)
Lemma row_in i : \sum_(j | (i != j) && (part i == part j)) pair i j =
  (c - 1) * (if random i then fxx else f11).
Proof.
rewrite (eq_bigr (fun=> 1 * (if random i then fxx else f11))) => [|j /andP[dij /eqP e]].
  by rewrite -mulr_suml in_set_sum (ones_in_set R eqC).
rewrite mul1r; case: ifP => [Ri|/negbT Si].
  by rewrite pair_random // /random -e.
by rewrite pair_signal // /random -e.
Qed.

Lemma row_cross i : \sum_(j | part i != part j) pair i j =
  if random i then c * fx1 + (n - c) * fxx else n * f1x.
Proof.
case: ifP => [Ri|/negbT Si].
  rewrite (bigID random) /= addrC; congr (_ + _).
    rewrite (eq_bigr (fun=> 1 * fx1)) => [|j /andP[_ Sj]]; last by rewrite mul1r pair_to_signal.
    rewrite -mulr_suml -signal_count; congr (_ * _); apply: eq_bigl => j.
    rewrite andbC; case: (boolP (~~ random j)) => //=; rewrite /random negbK => /eqP->.
    by rewrite -/(random i) Ri.
  rewrite (eq_bigr (fun=> 1 * fxx)) => [|j /andP[ne Rj]]; last first.
    by rewrite mul1r pair_random //; apply: contraNneq ne => ->.
  rewrite -mulr_suml; congr (_ * _).
  rewrite -random_count [X in X - c](bigID (fun j => part i != part j)) /=.
  have -> : \sum_(j | random j && ~~ (part i != part j)) (1 : R) = c.
    rewrite /c -(ones_in_set R eqC (part i)); apply: eq_bigl => j.
    by rewrite negbK [part i == _]eq_sym andbC; case: eqP => // e;
      rewrite /random e -/(random i) Ri.
  by rewrite addrK; apply: eq_bigl => j; rewrite andbC.
rewrite (eq_bigr (fun=> 1 * f1x)) => [|j np]; last first.
  rewrite mul1r pair_from_signal //; move: Si; rewrite /random negbK => /eqP <-.
  by rewrite eq_sym.
rewrite -mulr_suml -random_count; congr (_ * _); apply: eq_bigl => j.
by move: Si; rewrite /random negbK => /eqP ->; rewrite eq_sym.
Qed.

Lemma sum_by_signal (a b : R) : \sum_(i : T) (if random i then a else b) = n * a + c * b.
Proof.
rewrite (bigID random) /=; congr (_ + _).
  by rewrite -random_count mulr_suml; apply: eq_bigr => i ->; rewrite mul1r.
by rewrite -signal_count mulr_suml; apply: eq_bigr => i /negbTE ->; rewrite mul1r.
Qed.

(** How often a pair inside, and a pair across, touches the signal set. *)
Theorem pair_counts :
  \sum_i \sum_(j | (i != j) && (part i == part j)) pair i j = (c - 1) * (c * f11 + n * fxx) /\
  \sum_i \sum_(j | part i != part j) pair i j = n * (c * f1x + c * fx1 + (n - c) * fxx).
Proof.
split; first by rewrite (eq_bigr _ (fun i _ => row_in i)) -mulr_sumr sum_by_signal [X in _ *
  X]addrC.
by rewrite (eq_bigr _ (fun i _ => row_cross i)) sum_by_signal; ring.
Qed.

(** Mean over pairs inside, less the mean over pairs across. *)
Definition mean_gap : R :=
  (\sum_i \sum_(j | (i != j) && (part i == part j)) pair i j) / (D * (c - 1)) -
  (\sum_i \sum_(j | part i != part j) pair i j) / (D * n).

(** The mean over ordered pairs of random patches, as in the book. *)
Definition random_mean (f : T -> T -> R) : R :=
  (\sum_(i | random i) \sum_(j | random j && (i != j)) f i j) / (n * (n - 1)).

Lemma other_random i : random i -> \sum_(j | random j && (i != j)) 1 = n - 1.
Proof.
move=> Ri; rewrite -random_count [X in _ = X - _](bigD1 i) //= addrC addKr.
by apply: eq_bigl => j; rewrite [i == j]eq_sym.
Qed.

Lemma sizes_neq0 : [/\ D != 0, c - 1 != 0, n != 0 & n - 1 != 0].
Proof.
have n1_gt0 : 0 < n - 1.
  rewrite -(other_random ri) (bigD1 j0) ?rj //= addrC add_ge0_gt0 ?ltr01 //.
  by rewrite sumr_ge0 // => j _; rewrite ler01.
have c1_gt0 : 0 < c - 1 by rewrite subr_gt0 ltr1n.
have n_gt0 : 0 < n by rewrite -[n](subrK 1) addr_gt0 ?ltr01.
have D_gt0 : 0 < D by rewrite -[D](subrK c) addr_gt0 // -[c](subrK 1) addr_gt0 ?ltr01.
by rewrite !gt_eqF.
Qed.

Theorem drive_of_pairs : mean_gap = c / D * random_mean (fun i j =>
  \sum_x W x * (both x - phi x (Some true) (x j) - phi x (x i) (Some true) + phi x (x i) (x j))).
Proof.
have [inside across] := pair_counts; rewrite /mean_gap inside across /random_mean.
have -> : \sum_(i | random i) \sum_(j | random j && (i != j)) \sum_x W x *
    (both x - phi x (Some true) (x j) - phi x (x i) (Some true) + phi x (x i) (x j)) =
  n * ((n - 1) * (f11 - f1x - fx1 + fxx)).
  rewrite -{1}random_count mulr_suml; apply: eq_bigr => i Ri; rewrite mul1r.
  rewrite -(other_random Ri) mulr_suml; apply: eq_bigr => j /andP[Rj dij]; rewrite mul1r.
  rewrite /f1x /fx1 /fxx -(pair_from_signal signal0 Rj) -(pair_to_signal Ri signal0).
  rewrite -(pair_random Ri Rj dij) /f11 /pair -!sumrB -big_split; apply: eq_bigr => x _ /=.
  have [->|nz] := eqVneq (W x) 0; first by rewrite !mul0r !subr0 addr0.
  by rewrite !(W_signal signal0 nz); ring.
have [D0 c1 n0 n1] := sizes_neq0; move: (n) (D) (c) n0 n1 D0 c1 => m d k m0 m1 d0 k1.
by field; rewrite d0 k1 m0 m1.
Qed.
End Drive.

(** thm-drive, for the network: gamma' - rho' at gamma = rho.  weight is sig(-F), or any function of
    F.  With score = exp(./tau), alpha D dscore g / Z is kappa / tau, kappa = alpha D score g / Z.
      *)
Section Network.
Variables (R : realFieldType) (T I : finType) (part : T -> I) (C : nat) (l : I) (q : R).
Hypotheses (eqC : equal part C) (C_gt1 : (1 < C)%N) (L_gt1 : (1 < #|I|)%N).
Variables (score dscore act dact weight : R -> R) (s g alpha : R).
Hypothesis score_gt0 : forall a, 0 < score a.

Notation image := {ffun T -> feature}.
Let A : T -> T -> R := equal_logits s g.
Let x_of (x : image) j : R := alpha * (value (x j))%:~R.
Let D : R := #|T|%:R.
Let c : R := C%:R.
Let Z := total_score T score s g.
Let b := excess score s g.

Definition F x := network score act A (x_of x).

(** The population gradient given the label +1 and the signal set l; descent goes against it. *)
Definition ascent i j := \sum_(x : image)
  mass part q true l x * weight (F x) * slope_A score dscore dact A (x_of x) i j.

(** sigma' at a patch with feature a, which is g of the book. *)
Definition g_of (x : image) a := dact (D * alpha *
  (score g / Z * (total_of x)%:~R + b / Z * (value a)%:~R)).

Definition velocity_gap :=
  (\sum_i \sum_(j | (i != j) && (part i == part j)) ascent i j) / (D * (c - 1)) -
  (\sum_i \sum_(j | part i != part j) ascent i j) / (D * (D - c)).

Let W (x : image) := mass part q true l x * weight (F x).
Let phi (x : image) (a a' : feature) : R := g_of x a * (value a')%:~R.

Lemma W_signal x j : ~~ random part l j -> W x != 0 -> x j = Some true.
Proof.
rewrite /random negbK => jl; rewrite mulf_eq0 negb_or => /andP[+ _].
rewrite mulf_eq0 negb_or => /andP[_ /prodf_neq0/(_ j isT)]; rewrite jl.
by case: (x j =P _) => // _; rewrite mulr0n eqxx.
Qed.

Lemma total_along (h : {perm T}) (x : image) : total_of (along h x) = total_of x.
Proof.
rewrite /total_of [RHS](reindex_inj (@perm_inj _ h)); apply: eq_bigr => j _.
by rewrite ffunE.
Qed.

Lemma keeps_random (h : {perm T}) j : keeps_signal part l h -> random part l (h j) = random part l
  j.
Proof.
move=> keep; have [Rj|Sj] := boolP (random part l j); last by rewrite keep // (negbTE Sj).
apply: contraT => Sh; have /perm_inj ehj := keep _ Sh.
by move: Sh; rewrite ehj Rj.
Qed.

Lemma F_along h x : F (along h x) = F x.
Proof.
have moved_image j : x_of x (h j) = x_of (along h x) j by rewrite /x_of ffunE.
rewrite /F -(network_equivariant score act A moved_image).
by apply: eq_network => // i j; rewrite /moved /A /equal_logits (inj_eq perm_inj).
Qed.

Lemma W_along h x : keeps_signal part l h -> W (along h x) = W x.
Proof.
move=> keep; rewrite /W F_along /mass; congr (_ * _ * _).
rewrite [RHS](reindex_inj (@perm_inj _ h)); apply: eq_bigr => j _; rewrite ffunE.
by have := keeps_random j keep; rewrite /random => /negb_inj ->.
Qed.

Lemma phi_along h x : keeps_signal part l h -> phi (along h x) =2 phi x.
Proof. by move=> _ a a'; rewrite /phi /g_of total_along. Qed.

Let gain : R := D * alpha * (dscore g / Z).
Let rest i := \sum_x W x * (g_of x (x i) * (D * (dscore g / Z * mean score A (x_of x) i))).

Lemma ascent_pair i j : i != j -> ascent i j = gain * pair W phi i j - 1 * rest i.
Proof.
move=> nij; rewrite mul1r /pair mulr_sumr -sumrB; apply: eq_bigr => x _.
have -> : slope_A score dscore dact A (x_of x) i j = g_of x (x i) *
    (D * (dscore g / Z * (x_of x j - mean score A (x_of x) i))).
  by rewrite /slope_A seen_equal // /total ZE {1}/A /equal_logits (negbTE nij).
rewrite -/(W x) /phi /gain /x_of.
by move: (mean _ _ _ _) (value _)%:~R (g_of _ _) (W x) (dscore g / Z) => m v k w z; ring.
Qed.

Lemma half_gap (Q : T -> T -> bool) (k : R) : k != 0 ->
  (forall i j, Q i j -> i != j) -> (forall i, \sum_(j | Q i j) (1 : R) = k) ->
  (\sum_i \sum_(j | Q i j) ascent i j) / (D * k) =
  gain * ((\sum_i \sum_(j | Q i j) pair W phi i j) / (D * k)) - (\sum_i rest i) / D.
Proof.
move=> k0 off ones; have -> : \sum_i \sum_(j | Q i j) ascent i j =
    gain * (\sum_i \sum_(j | Q i j) pair W phi i j) - k * \sum_i rest i.
  rewrite !mulr_sumr -sumrB; apply: eq_bigr => i _; rewrite -(ones i) mulr_suml mulr_sumr -sumrB.
  by apply: eq_bigr => j /off; apply: ascent_pair.
rewrite mulrBl mulrA; congr (_ - _).
by rewrite [D * k]mulrC invfM mulrACA divff // mul1r.
Qed.

Theorem drive : velocity_gap = gain * (c / D * random_mean part C l (fun i j => \sum_(x : image)
  W x * ((g_of x (Some true) - g_of x (x i)) * (1 - (value (x j))%:~R)))).
Proof.
have C_gt0 : (0 < C)%N by apply: ltn_trans C_gt1.
have [k nk] : exists k, k != l.
  have /card_gt1P[a [a' [_ _ naa']]] := L_gt1; have [e|] := eqVneq a l; last by exists a.
  by exists a'; rewrite -e eq_sym.
have [s0 es] := block_has l eqC C_gt0.
have S0 : ~~ random part l s0 by rewrite /random es eqxx.
have /card_gt1P[i0 [j0 []]] : (1 < #|block part k|)%N by rewrite eqC.
rewrite !in_block => /eqP ei /eqP ej nij.
have Ri : random part l i0 by rewrite /random ei.
have Rj : random part l j0 by rewrite /random ej.
have [_ c1 n0 _] := sizes_neq0 R eqC C_gt1 Ri Rj nij.
have gap := drive_of_pairs eqC C_gt1 W_signal W_along phi_along Ri Rj nij S0.
have inside := @half_gap (fun i j => (i != j) && (part i == part j)) (c - 1) c1.
have across := @half_gap (fun i j => part i != part j) (D - c) n0.
rewrite /velocity_gap inside => [|i j /andP[] //|i]; last by rewrite in_set_sum (ones_in_set R eqC).
rewrite across => [|i j|i]; last 2 first.
- by apply: contraNneq => ->.
- by rewrite cross_sum (ones_in_set R eqC) sumr_const.
rewrite opprB addrA subrK -mulrBr; congr (_ * _); apply: etrans gap _.
congr (_ * (_ / _)); apply: eq_bigr => i _; apply: eq_bigr => j _; apply: eq_bigr => x _.
congr (_ * _); rewrite /both /phi !valueE; move: (g_of _ _) (g_of _ _) => u v.
by ring.
Qed.
End Network.
